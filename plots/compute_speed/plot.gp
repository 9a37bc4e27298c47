# SPDX-License-Identifier: GPL-3.0-or-later
# A line per policy over the speed of a core, and the ranges that were published.
set termoption noenhanced
set datafile missing 'NaN'
set title figure_title
set key outside right top
set grid
set logscale xy
set xlabel 'effective speed of a core (flop/s)'
set format x '%.0s%c'
set ylabel 'epoch time over that of lapse'
stats data using 0 nooutput
series = STATS_blocks
plot 203 with lines dashtype 2 linecolor 'dark-grey' title 'classic, published: 4 to 203', \
     4 with lines dashtype 2 linecolor 'dark-grey' notitle, \
     28 with lines dashtype 3 linecolor 'dark-grey' title 'stale, published: 2 to 28', \
     2 with lines dashtype 3 linecolor 'dark-grey' notitle, \
     for [i = 0:series - 1] data index i using 1:2 with linespoints linewidth 2 lc i + 1 pt i + 1 title columnheader(1)
