# SPDX-License-Identifier: GPL-3.0-or-later
# Left: a band per key, in it a line per node: thick where it owned the key, thin where it had a replica. Right: share of the time
# with intent.
set termoption noenhanced
set datafile missing 'NaN'
stats data using 1 nooutput name 'line'
stats data using 8 nooutput name 'nodes'
keys = line_max
nodes = nodes_max
of(kind) = column(4) == kind ? column(5) : NaN
at(line, node) = line + (node + 1) / (nodes + 1.5)
set multiplot layout 1,2 title figure_title
set tmargin at screen 0.88
set bmargin at screen 0.14
set lmargin at screen 0.12
set rmargin at screen 0.70
set yrange [keys + 1:1]
set ytics ('' 1) scale 0
set for [i = 1:keys] ytics add ('' i 0)
set grid ytics linetype 1 linecolor 'gray60'
set xlabel 'time (s)'
set format x '%.0s%c'
set key at screen 0.70, screen 0.93 right top horizontal
set for [i = 1:keys] label i '' at graph -0.01, first i + 0.5 right
plot data using (of(1)):(at($1, $3)):($6 - $5):(0) with vectors nohead linewidth 4 linecolor rgb '#1b6ca8' title 'owner', \
     data using (of(2)):(at($1, $3)):($6 - $5):(0) with vectors nohead linewidth 2 linecolor rgb '#f0a030' title 'replica', \
     data using (of(3)):(at($1, $3)):($6 - $5):(0) with vectors nohead linewidth 0.5 linecolor rgb 'black' title 'intent', \
     data using ($4 == 4 && $3 == 0 ? 0 : NaN):($1 + 0.5):(sprintf('rank %d ', $2)) with labels right notitle
unset label
set lmargin at screen 0.75
set rmargin at screen 0.90
set xlabel 'node'
set format x '%g'
set xrange [-0.5:nodes - 0.5]
set xtics 1
set nokey
set cbrange [0:1]
set cblabel 'share of time with intent'
set palette defined (0 'white', 1 '#1b6ca8')
plot data using ($4 == 4 ? $3 : NaN):($1 + 0.5):7 with image
unset multiplot
