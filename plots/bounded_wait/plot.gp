# SPDX-License-Identifier: GPL-3.0-or-later
# Stacked bars: one per delay, a colour per use of the time.
set termoption noenhanced
set title figure_title
set key outside right top invert
set style data histograms
set style histogram rowstacked
set style fill solid 0.8 border -1
set boxwidth 0.6
set grid ytics
set yrange [0:*]
set xlabel 'maximal delay (iterations)'
set ylabel 'time per epoch, mean over workers (s)'
set format y '%.0s%c'
stats data using 0 nooutput
series = STATS_blocks
plot for [i = 0:series - 1] data index i using 2:xtic(1) title columnheader(1)
