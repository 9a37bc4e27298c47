# SPDX-License-Identifier: GPL-3.0-or-later
# Two lines per policy, in its colour: relocations solid, replicas dashed.
set termoption noenhanced
set datafile missing 'NaN'
set title figure_title
set key outside right top invert font ',10' samplen 3
set grid
set logscale xy
set xlabel 'rank of the key by expected accesses'
set ylabel 'mean per key'
set format y '%g'
stats data using 0 nooutput
series = STATS_blocks
plot for [i = 0:series - 1] data index i using 1:2 with linespoints linewidth 2 linecolor i / 2 + 1 pointtype i / 2 + 5 \
    dashtype i % 2 + 1 pointsize 0.6 title columnheader(1)
