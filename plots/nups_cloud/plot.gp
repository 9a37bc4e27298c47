# SPDX-License-Identifier: GPL-3.0-or-later
# A point per setting: number of replicated keys and batches ahead, or the name of a published setting.
set termoption noenhanced
set datafile missing 'NaN'
set title figure_title
set key outside right top
set grid
set xrange [0:*]
set yrange [0:*]
set xlabel 'bytes sent per node and epoch'
set ylabel 'epoch time (s)'
set format xy "%.0s%c"
set offsets 0, graph 0.15, graph 0.1, 0
stats data using 0 nooutput
series = STATS_blocks
plot for [i = 0:series - 1] data index i using 1:2 with points pointtype 7 pointsize 1 + 0.7 * i linecolor i + 1 \
         title columnheader(1), \
     for [i = 0:series - 1] data index i using 1:2:4 with labels left offset 0.8, 0 font ',9' notitle
