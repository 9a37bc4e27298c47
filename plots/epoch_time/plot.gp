# SPDX-License-Identifier: GPL-3.0-or-later
# Two panels: epoch time and speed-up over the number of nodes, a line per policy.
set datafile missing 'NaN'
set key outside right top
set grid
set logscale x 2
set xlabel 'nodes'
stats data using 0 nooutput
series = STATS_blocks
set multiplot layout 1,2 title figure_title
set logscale y
set ylabel 'epoch time (s)'
set format y '%.0s%c'
set nokey
plot for [i = 0:series - 1] data index i using 1:2 with linespoints linewidth 2 title columnheader(1)
set ylabel 'speed-up over single node'
set format y '%g'
set key outside right top
plot for [i = 0:series - 1] data index i using 1:3 with linespoints linewidth 2 title columnheader(1)
unset multiplot
