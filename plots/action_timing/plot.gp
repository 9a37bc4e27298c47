# SPDX-License-Identifier: GPL-3.0-or-later
# Three panels over the signal offset: epoch time, bytes, accesses that were remote or waited.
set termoption noenhanced
set datafile missing 'NaN'
set grid
set logscale x 4
set format x '%.0f'
set xtics rotate by -45 font ',10'
set ytics font ',10'
set xlabel 'signal offset (batches)'
set format y '%.0s%c'
stats data using 0 nooutput
series = STATS_blocks
set multiplot layout 1,3 title figure_title
set tmargin at screen 0.86
set bmargin at screen 0.26
set yrange [0:*]
set lmargin at screen 0.11
set rmargin at screen 0.33
set ylabel 'epoch time (s)'
set key inside right top
plot for [i = 0:series - 1] data index i using 1:2 with linespoints linewidth 2 title columnheader(1)
set nokey
set lmargin at screen 0.43
set rmargin at screen 0.65
set ylabel 'bytes sent per node and epoch'
plot for [i = 0:series - 1] data index i using 1:3 with linespoints linewidth 2 title columnheader(1)
set lmargin at screen 0.75
set rmargin at screen 0.95
set format y '%g'
set ylabel 'accesses not local (%)'
plot for [i = 0:series - 1] data index i using 1:4 with linespoints linewidth 2 title columnheader(1)
unset multiplot
