# SPDX-License-Identifier: GPL-3.0-or-later
# Quality over training time.
set datafile missing 'NaN'
set termoption noenhanced
set title figure_title
set key inside right bottom
set linetype 9 linecolor rgb '#888888'
set grid
set xrange [0:*]
set yrange [0:*]
set xlabel 'training time (s)'
set ylabel 'filtered MRR on held-out triples'
stats data using 0 nooutput
series = STATS_blocks
plot for [i = 0:series - 1] data index i using 1:2 with linespoints linewidth 2 title columnheader(1)
