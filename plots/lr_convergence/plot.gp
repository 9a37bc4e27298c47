# SPDX-License-Identifier: GPL-3.0-or-later
# A line per delay; one that diverges leaves the picture: up to 1.3 times the least value is shown.
set termoption noenhanced
set datafile missing 'NaN'
set title figure_title
set key outside right top
set grid
set xlabel 'training time (s)'
set format x '%.1s%c'
set ylabel 'objective'
stats data using 0 nooutput
series = STATS_blocks
stats data using 2 nooutput name 'value'
if (value_min > 0) set yrange [0.98 * value_min : 1.3 * value_min]
plot for [i = 0:series - 1] data index i using 1:2 with linespoints linewidth 2 title columnheader(1)
