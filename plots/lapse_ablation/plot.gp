# SPDX-License-Identifier: GPL-3.0-or-later
# Bars: two kinds of allocation, a colour per kind of local access.
set termoption noenhanced
set title figure_title
set key bmargin center horizontal
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.8 border -1
set grid ytics
set logscale y
set ylabel 'epoch time (s)'
set format y '%.0s%c'
stats data using 0 nooutput
series = STATS_blocks
plot for [i = 0:series - 1] data index i using 2:xtic(1) title columnheader(1)
