# SPDX-License-Identifier: GPL-3.0-or-later
# Two panels of bars per policy: age in seconds, in clocks of the reader; a colour per quantile.
set termoption noenhanced
set datafile missing 'NaN'
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.8 border -1
set grid ytics
set yrange [0:*]
set xtics rotate by -30 font ',10'
stats data using 0 nooutput
series = STATS_blocks
set multiplot layout 1,2 title figure_title
set tmargin at screen 0.88
set bmargin at screen 0.24
set lmargin at screen 0.10
set rmargin at screen 0.48
set format y '%.0s%c'
set ylabel 'age at a read (s)'
set key at screen 0.98, screen 0.99 right top font ',10'
plot for [i = 0:series - 1] data index i using 2:xtic(1) title columnheader(1)
set nokey
set lmargin at screen 0.58
set rmargin at screen 0.94
set format y '%g'
set ylabel 'age at a read (clocks)'
plot for [i = 0:series - 1] data index i using 3:xtic(1) title columnheader(1)
unset multiplot
