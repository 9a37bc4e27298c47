# SPDX-License-Identifier: GPL-3.0-or-later
# Two panels: epoch time and bytes sent over the share of sampling accesses, a line per policy.
set termoption noenhanced
set datafile missing 'NaN'
set grid
set logscale y
set xlabel 'share of sampling accesses'
set format y '%.0s%c'
stats data using 0 nooutput
series = STATS_blocks
set multiplot layout 1,2 title figure_title
set tmargin at screen 0.90
set bmargin at screen 0.14
set lmargin at screen 0.10
set rmargin at screen 0.37
set ylabel 'epoch time (s)'
set nokey
plot for [i = 0:series - 1] \
    data index i using 1:2 with linespoints linewidth 2 lc i % 8 + 1 dt i / 8 + 1 pt i + 1 title columnheader(1)
set lmargin at screen 0.48
set rmargin at screen 0.73
set ylabel 'bytes sent per node and epoch'
set key at screen 0.74, screen 0.90 left top reverse Left samplen 1.5 font ',9'
plot for [i = 0:series - 1] \
    data index i using 1:3 with linespoints linewidth 2 lc i % 8 + 1 dt i / 8 + 1 pt i + 1 title columnheader(1)
unset multiplot
