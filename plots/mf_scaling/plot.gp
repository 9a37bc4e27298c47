# SPDX-License-Identifier: GPL-3.0-or-later
# Two panels: epoch time and speed-up over the number of nodes, a line per policy; linear speed-up as a reference.
set termoption noenhanced
set datafile missing 'NaN'
set grid
set logscale x 2
set logscale y
set xlabel 'nodes'
stats data using 0 nooutput
series = STATS_blocks
set multiplot layout 1,2 title figure_title
set tmargin at screen 0.90
set bmargin at screen 0.14
set lmargin at screen 0.10
set rmargin at screen 0.37
set ylabel 'epoch time (s)'
set format y '%.0s%c'
set nokey
plot for [i = 0:series - 1] data index i using 1:2 with linespoints linewidth 2 lc i + 1 pt i + 1 title columnheader(1)
set lmargin at screen 0.47
set rmargin at screen 0.73
set ylabel 'speed-up over single node'
set format y '%g'
set key at screen 0.75, screen 0.90 left top reverse Left samplen 1.5 font ',10'
set logscale y
plot x with lines dashtype 2 linecolor 'grey' title 'linear', \
     for [i = 0:series - 1] data index i using 1:3 with linespoints linewidth 2 lc i + 1 pt i + 1 title columnheader(1)
unset multiplot
