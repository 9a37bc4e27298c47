# SPDX-License-Identifier: GPL-3.0-or-later
# Two panels of bars per workload, a colour per variant: epoch time and bytes.
set termoption noenhanced
set datafile missing 'NaN'
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.8 border -1
set grid ytics
set logscale y
set format y '%.0s%c'
stats data using 0 nooutput
series = STATS_blocks
set multiplot layout 1,2 title figure_title
set tmargin at screen 0.90
set bmargin at screen 0.10
set lmargin at screen 0.10
set rmargin at screen 0.37
set ylabel 'epoch time (s)'
set nokey
plot for [i = 0:series - 1] data index i using 2:xtic(1) title columnheader(1)
set lmargin at screen 0.47
set rmargin at screen 0.74
set ylabel 'bytes sent per node and epoch'
set key at screen 0.76, screen 0.90 left top reverse Left samplen 1.5 font ',10'
plot for [i = 0:series - 1] data index i using 3:xtic(1) title columnheader(1)
unset multiplot
