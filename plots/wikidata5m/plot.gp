# SPDX-License-Identifier: GPL-3.0-or-later
# Two panels: epoch time with intervals and bytes per node, a bar per policy and cluster.
set termoption noenhanced
set datafile missing 'NaN'
set grid ytics
stats data using 0 nooutput
series = STATS_blocks
width = 0.8 / series
place(i) = (i - (series - 1) / 2.0) * width
set boxwidth 0.9 * width
set style fill solid 0.8
set errorbars lw 1.5 lc rgb 'black'
set logscale y
set format y '%.0s%c'
set xtics rotate by 40 right font ',9' scale 0
stats data index 0 every ::1 using 2 name 'bars' nooutput
set xrange [-0.6:bars_records - 0.4]
set multiplot layout 1,2 title figure_title
set tmargin at screen 0.90
set bmargin at screen 0.30
set lmargin at screen 0.09
set rmargin at screen 0.48
set ylabel 'epoch time (s)'
set key top right samplen 2
plot for [i = 0:series - 1] \
         data index i using ($0 + place(i)):2:3:4:(0.9 * width) with boxerrorbars lc i + 1 title columnheader(1), \
     data index 0 every ::1 using 0:(NaN):xtic(1) notitle
set lmargin at screen 0.58
set rmargin at screen 0.97
set ylabel 'bytes sent per node and epoch'
set nokey
plot for [i = 0:series - 1] data index i using ($0 + place(i)):5 with boxes lc i + 1 title columnheader(1), \
     data index 0 every ::1 using 0:(NaN):xtic(1) notitle
unset multiplot
