# SPDX-License-Identifier: GPL-3.0-or-later
# Distribution functions, a line each.
set termoption noenhanced
set datafile missing 'NaN'
set title figure_title
set key bmargin center horizontal
set grid
set logscale x
set xlabel 'relocation time (s)'
set format x '%.0s%c'
set yrange [0:1.02]
set ylabel 'share of relocations'
stats data using 0 nooutput
series = STATS_blocks
plot for [i = 0:series - 1] data index i using 1:2 with steps linewidth 2 title columnheader(1)
