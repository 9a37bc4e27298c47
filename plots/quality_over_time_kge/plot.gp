# SPDX-License-Identifier: GPL-3.0-or-later
# Quality over training time; logarithmic time, since policies differ by orders of magnitude.
set datafile missing 'NaN'
set termoption noenhanced
set title figure_title
set key bmargin center horizontal
set grid
set logscale x
set xlabel 'training time (s)'
set format x '%.0s%c'
set ylabel 'quality on test data'
stats data using 0 nooutput
series = STATS_blocks
plot for [i = 0:series - 1] data index i using 1:2 with linespoints linewidth 2 title columnheader(1)
