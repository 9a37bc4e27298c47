#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# 113,872 accesses to 48,974 blocks of virtual disks: imported, described (the hottest 1 % of the blocks take 15.4 % of the
# accesses), replayed under several policies. The data may not be shipped: skipped, aloud, where it is not there.
. "$(dirname "$0")/cli.sh"

archive=$root/../shared/data/trace-cloudphysics.tar.xz
if [ ! -r "$archive" ]; then
    echo "skipped: no CloudPhysics trace at ../shared/data/trace-cloudphysics.tar.xz"
    exit 77
fi
tar xJf "$archive" || exit 1
good trace import trace-cloudphysics/cloudPhysicsIO.txt --output disk.trace
says ': 113872 lines, 48974 keys, 1 nodes$'
says '^disk.trace: 113872 accesses in 11388 batches'
good trace describe disk.trace
says '^ *1 % +15.4 %$'
good trace export disk.trace
is "accesses per key" "$(awk '$5 == "read" { n[$6]++ } END { for (k in n) print n[k] }' out | sort | md5sum)" \
    "$(awk '{ n[$1]++ } END { for (k in n) print n[k] }' trace-cloudphysics/cloudPhysicsIO.txt | sort | md5sum)"
good compare --db x.db --policies single,classic,lapse,full --workload trace:file=disk.trace --nodes 4 --workers 2
is "reads of every run" "$(sql x.db 'SELECT DISTINCT sum(local_reads + replica_reads + remote_reads + queued_reads)
    FROM node_epoch GROUP BY run_id')" 113872
is "lost updates" "$(sql x.db 'SELECT count(*) FROM epoch WHERE quality <> 0')" 0
finish
