#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# time-limit: 240
# Bad input: exactly one clear line, the right exit status, and the database stays as it was.
. "$(dirname "$0")/cli.sh"
tiny=(--nodes 2 --workers 1 --workload zipf:keys=20,steps=3)

good run "${tiny[@]}" --name first
before=$(sql pmlab.db 'SELECT count(*) FROM run')

# ---- usage: status 2, and nothing is recorded ----
bad 2 'unknown command "rum"; nearest is "run"' rum
bad 2 'unknown option --polcy; nearest is --policy' run --polcy kv
bad 2 'unknown policy "clasic"; nearest is "classic"' run --policy clasic
bad 2 'unknown workload "zip"; nearest is "zipf"' run --workload zip
bad 2 'classic: unknown option "fastlocal"; nearest is "fast_local"' run --policy classic:fastlocal=1
bad 2 'zipf: unknown option "kyes"; nearest is "keys"' run --workload zipf:kyes=3
bad 2 'zipf: unknown option "kyes"; nearest is "keys"' run --workload.kyes 3
bad 2 'zipf: option "keys": "0" is out of range' run --workload zipf:keys=0
bad 2 '"20 ?xs" has an unknown unit.*ns us ms s' run --latency 20xs
bad 2 '"20" has no unit' run --latency 20
bad 2 '"10Gbip" has an unknown unit' run --bandwidth 10Gbip
bad 2 'option "nodes": "0" is out of range' run --nodes 0
bad 2 'option "nodes": "-1"' run --nodes -1
bad 2 'option "workers": "0" is out of range' run --workers 0
bad 2 'option "nodes": "two" is not a number' run --nodes two
bad 2 'option "epochs": "1.5" is not a whole number' run --epochs 1.5
bad 2 'option "epoch-fraction": "2" is out of range' run --epoch-fraction 2
bad 2 'option "backend": "simm" .*nearest is "sim"' run --backend simm
bad 2 'option "network": "queu" .*nearest is "queue"' run --network queu
bad 2 'unknown platform "staar"; nearest is "star"' run --platform staar
bad 2 'option "evaluate": "often".*every' run --evaluate often
bad 2 'option --nodes needs a value' run --nodes
bad 2 'unknown option -n; options begin with --' run -n 4
bad 2 'unexpected argument "kv"' run kv
bad 2 'pmlab show has no option --nodes' show --nodes 2
bad 2 'option --spin means nothing to --backend sim' run --spin 1us
bad 2 'option --latency means nothing to --backend real' run --backend real --latency 1us
bad 2 'option --slow-share means nothing to --backend real' run --backend real --slow-share 0.1
bad 2 'option "slow-factor": .*0.5' run --slow-factor 0.5
bad 2 'give --policies or --policy, not both' compare --policies kv --policy full
bad 2 'unknown policy "nope"' compare --policies classic,nope
bad 2 'list what\?' list
bad 2 'unknown "figs"; nearest is "figures"' list figs
bad 2 'unknown policy "clssic"; nearest is "classic"' list policy clssic
bad 2 'has no run 999' show 999
bad 2 '"x" is not a number' show x
bad 2 'unknown figure "epoch_tim"; nearest is "epoch_time"' figure epoch_tim

# ---- files: status 3 ----
bad 3 'nope.ini: No such file' run --config nope.ini
printf 'nodes = 2\nwhat is this\n' >c.ini
bad 3 'c.ini:2: ' run --config c.ini
printf '\nnodez = 2\n' >c.ini
bad 3 'c.ini:2: unknown option --nodez; nearest is --nodes' run --config c.ini
printf 'nodes = none\n' >c.ini
bad 3 'c.ini:1: option "nodes"' run --config c.ini
printf '[workload]\nkyes = 3\n' >c.ini
bad 3 'c.ini: zipf: unknown option "kyes"' run --config c.ini
printf 'policy = clasic\n' >c.ini
bad 3 'c.ini: unknown policy "clasic"' run --config c.ini
{ printf 'nodes = 2\nname = '; printf '%0250d\n' 0; } >c.ini
bad 3 'c.ini:2: line is longer than' run --config c.ini
printf 'what\nnodez = 2\n' >c.ini
bad 3 'c.ini:1: neither name = value nor \[section\]' run --config c.ini
printf 'nodes = 2\n[policy\n' >c.ini
bad 3 'c.ini:2: neither name = value nor \[section\]' run --config c.ini
good run --config <(printf 'nodes = 3\n') --dump-config # nothing needs a file that can be read twice
says '^nodes = 3$'
bad 3 'nope.cost: No such file' run --cost nope.cost
bad 3 'platform nope.xml: No such file' run --platform nope.xml
echo '<platform' >broken.xml
bad 3 'broken.xml' run "${tiny[@]}" --platform broken.xml
cat >noroute.xml <<'X'
<?xml version='1.0'?><!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">
<platform version="4.1"><zone id="z" routing="Full"><host id="a" speed="1Gf" core="4"/>
<host id="b" speed="1Gf" core="4"/></zone></platform>
X
bad 3 'noroute.xml' run "${tiny[@]}" --platform noroute.xml
bad 3 '\./nope.so: No such file' run --policy ./nope.so
head -c 2000 /dev/urandom >junk.so
bad 3 'junk.so: ' run --policy ./junk.so
bad 3 'junk.so: ' run --workload junk.so

# ---- whatever a file may be, for each reader: one line with the file, and the place in it ----
mkdir folder
mkfifo pipe
: >empty
printf '\n\n' >blank
printf 'a\0b\n' >zero
head -c 70000 /dev/zero | tr '\0' x >long
echo 'hello world' >words
# each FILE=PATTERN... -- ARGUMENT...: with @ for the file.
each() {
    local cases=()
    while [ "$1" != -- ]; do cases+=("$1"); shift; done
    shift
    for case in "${cases[@]}"; do bad 3 "${case#*=}" "${@//@/${case%%=*}}"; done
}
data=('nope=option "workload\.[a-z]+": nope: No such file or directory' 'folder=option "workload\.[a-z]+": folder: is a folder'
    'pipe=option "workload\.[a-z]+": pipe: not a regular file')
text='1: holds a zero byte or is longer than [0-9]+ bytes: not a text file of'
printf 'a\tis\tb\nc\tis' >cut
each "${data[@]}" 'empty=empty:1: the file holds no triple' 'blank=blank:3: the file holds no triple' "zero=zero:$text triples" \
    "long=long:$text triples" "words=words:1: 'hello world' is not 'subject TAB relation TAB object'" \
    "cut=cut:2: 'c.is' is not 'subject TAB relation TAB object'" -- run "${tiny[@]:0:4}" --workload kge:train=@
printf '1\t2\t3\t881250949\n1\t3' >cut
printf '1::2::3::881250949\n1::3' >colons
printf '%%%%MatrixMarket matrix coordinate real general\n3 3 2\n1 1 1\n' >matrix
printf '%%%%MatrixMarket matrix array real general\n' >array
each "${data[@]}" 'empty=empty:1: the file is empty' 'blank=blank:3: the file is empty' "zero=zero:$text ratings" \
    "long=long:$text ratings" "words=words:1: 'hello world' begins no known format \(allowed: user TAB item TAB rating TAB time, " \
    "cut=cut:2: '1.3' is not 'user TAB item TAB rating TAB time'" "colons=colons:2: '1::3' is not 'user::item::rating::time'" \
    'matrix=matrix:4: the file ends after 1 of 2 entries' \
    "array=array:1: '%%MatrixMarket matrix array .*\(allowed: %%MatrixMarket " \
    -- run "${tiny[@]:0:4}" --workload mf:train=@
printf '+1 1:2\n-1 3:' >cut
each "${data[@]}" 'empty=empty:1: the file holds no example' 'blank=blank:3: the file holds no example' "zero=zero:$text examples" \
    "long=long:1: 'x{40}' does not begin with a label" \
    "words=words:1: 'hello world' does not begin with a label \(allowed: 0 and 1" \
    "cut=cut:2: '3:' is not 'index:value' or 'index'" -- run "${tiny[@]:0:4}" --workload lr:train=@
kge=kge:entities=20,relations=2,triples=100,test_triples=5,dim=2,clusters=2
good run --quiet --db other.db --evaluate every --workload $kge,checkpoint=whole
head -c 100 whole >cut
{ head -c 52 whole; printf '\377\377\377\377'; tail -c +57 whole; } >nan
none='byte 0: not a checkpoint of kge \(they begin with pmlabkg1; checkpoint=FILE writes one\)'
each "${data[@]}" "empty=empty: $none" "zero=zero: $none" "words=words: $none" \
    'cut=cut: byte 100: the file ends here, a checkpoint of [0-9]+ bytes is expected' \
    'nan=nan: byte 52: a value that is no finite number' -- run "${tiny[@]:0:4}" --workload $kge,resume=@
bad 3 'whole: byte 8: a checkpoint of another model or other training triples: dim=2, ' \
    run --workload ${kge/dim=2/dim=4},resume=whole
none='byte 0: not a trace of pmlab \(texts become one by pmlab trace import\)'
good trace record --quiet --db other.db --output whole "${tiny[@]}"
head -c 150 whole >cut
traces=('empty=empty: byte 0: the file is empty' "blank=blank: $none" "zero=zero: $none" "long=long: $none" "words=words: $none"
    'cut=cut: byte [0-9]+: ')
each "${data[@]}" "${traces[@]}" -- run "${tiny[@]:0:4}" --workload trace:file=@
for command in describe export; do
    each 'nope=nope: cannot be opened: No such file' 'folder=folder: not a regular file' 'pipe=pipe: not a regular file' \
        "${traces[@]}" -- trace $command @
done
printf '1,2\n3,' >cut
each 'nope=nope: cannot be opened: No such file' 'folder=folder:1: cannot be read: Is a directory' \
    'empty=empty:1: the file holds no access' 'blank=blank:3: the file holds no access' "zero=zero:$text accesses" \
    "long=long:$text accesses" "words=words:1: 'hello world' is not 'node key': node has to be a whole number below 2\^64" \
    "cut=cut:2: '3,' is not 'node key': key has to be" -- trace import @ --columns node,key --output none.trace
each 'nope=nope: No such file' 'folder=folder: Is a directory' 'zero=zero:1: a zero byte; not a text file' \
    'long=long:1: line is longer than 198 characters' 'words=words:1: neither name = value nor \[section\]' -- run --config @
line='a line is `kind events_ns keys_ns bytes_ns`, kinds are local send'
printf 'local 1 2 3\nsend 1' >cut
each 'nope=nope: No such file' 'folder=folder: is a folder' 'pipe=pipe: not a regular file' \
    'empty=empty:1: the file ends and has no line `local`' 'blank=blank:3: the file ends and has no line `local`' \
    "zero=zero:1: the line is too long or holds a zero byte; $line" "long=long:1: the line is too long" \
    "words=words:1: unknown kind of cost; $line" "cut=cut:2: three numbers are wanted; $line" -- run "${tiny[@]}" --cost @
printf '<?xml version="1.0"?>\n<!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">\n<platform version="4.1">\n<zone' >cut
each './nope=platform \./nope: No such file' './folder=\./folder: is a folder' './pipe=\./pipe: not a regular file' \
    "./empty=platform file '\./empty': it is empty" './blank=Parse error at \./blank:3: ' './zero=Parse error at \./zero:1: ' \
    './words=Parse error at \./words:1: ' './cut=Parse error at \./cut:[45]: ' -- run "${tiny[@]}" --platform @
for i in 1 2 3 4 5; do mkdir figure$i; done
mkdir figure1/figure.ini
: >figure2/figure.ini
printf 'title = a\n\0' >figure3/figure.ini
printf 'title = a\n[vary' >figure4/figure.ini
echo 'title = a' >figure5/figure.ini
each './figure1=figure1/figure.ini: Is a directory' './figure2=figure2/figure.ini:1: the file ends and has no title' \
    './figure3=figure3/figure.ini:2: a zero byte; not a text file' \
    './figure4=figure4/figure.ini:2: neither name = value nor \[section\]' './figure5=figure5/query.sql: No such file' -- figure @

# ---- databases: status 3, and they stay as they are, byte for byte ----
sqlite3 foreign.db 'CREATE TABLE mine(x); INSERT INTO mine VALUES(1)'
head -c 5000 /dev/urandom >junk.db
: >empty.db
head -c 3000 pmlab.db >cut.db
for file in foreign junk cut; do
    sum=$(cksum <$file.db)
    why="database $file.db: (not made by pmlab|not an SQLite database|damaged)"
    bad 3 "$why" run "${tiny[@]}" --db $file.db
    bad 3 "$why" show --db $file.db
    is "$file.db afterwards" "$(cksum <$file.db)" "$sum"
done
bad 3 'database empty.db: empty' show --db empty.db
bad 3 'database nope.db: No such file' show --db nope.db
bad 3 'database \.: not a file' run "${tiny[@]}" --db .
bad 3 'database /nonexistent/x.db' run "${tiny[@]}" --db /nonexistent/x.db
cp pmlab.db later.db
sqlite3 later.db 'PRAGMA user_version = 99'
bad 3 'later.db: made by a later pmlab' run "${tiny[@]}" --db later.db

# Permissions mean nothing to root: become nobody, with copies of program and simulator that it may read.
nobody=()
[ "$(id -u)" -ne 0 ] || nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
open=$(mktemp -d /tmp/pmlab-test.XXXXXX)
trap 'chmod -R u+w "$dir" "$open"; rm -rf "$dir" "$open"' EXIT
chmod 755 "$open"
cp "$PMLAB" "$(dirname "$PMLAB")/pmlab-sim.so" pmlab.db "$open"/
chmod 444 "$open"/pmlab.db
as_nobody() {
    local pattern=$1
    shift
    (cd "$open" && "${nobody[@]}" ./pmlab "$@") >out 2>err
    status=$?
    is "status of pmlab $* as nobody" $status 3
    grep -qE "$pattern" err || wrong "pmlab $* as nobody: $(cat err)"
    is "lines of pmlab $* as nobody" "$(wc -l <err)" 1
}
as_nobody 'pmlab.db: read-only' run "${tiny[@]}" --db pmlab.db
as_nobody 'new.db: ' run "${tiny[@]}" --db new.db
(cd "$open" && "${nobody[@]}" ./pmlab show --db pmlab.db) >out 2>err || wrong "read-only database: $(cat err)"
says 'finished'
chmod 000 "$open"/pmlab.db
as_nobody 'pmlab.db: Permission denied' show --db pmlab.db
echo secret >"$open"/closed
chmod 000 "$open"/closed
mkdir "$open"/figure
ln -s ../closed "$open"/figure/figure.ini
for workload in kge:train mf:train lr:train trace:file kge:resume; do
    as_nobody "option \"workload\.[a-z]+\": closed: Permission denied" run --workload $workload=closed
done
as_nobody 'closed: cannot be opened: Permission denied' trace describe closed
as_nobody 'closed: cannot be opened: Permission denied' trace import closed --output "/tmp/${open##*/}.trace"
as_nobody 'closed: Permission denied' run --config closed
as_nobody 'option "cost": closed: Permission denied' run --cost closed
as_nobody 'closed: Permission denied' run --platform ./closed
as_nobody 'figure/figure.ini: Permission denied' figure ./figure

# ---- a port taken: by a program that listens on some port and says which ----
"${CC:-gcc}" -x c - -o listener <<'X' || wrong "the listener does not build"
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t n = sizeof a;
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(s, (struct sockaddr *)&a, n) || listen(s, 1) || getsockname(s, (struct sockaddr *)&a, &n))
        return 1;
    printf("%d\n", ntohs(a.sin_port));
    fflush(stdout);
    pause();
}
X
./listener >port &
holder=$!
while [ ! -s port ]; do sleep 0.1; done
port=$(cat port)
run run --backend real "${tiny[@]}" --nodes 1 --port-range $port-$port
[ $status -eq 5 ] || wrong "status with a taken port: $status: $(cat err)"
is "lines about a taken port" "$(wc -l <err)" 1
grep -q "$port" err || wrong "the taken port is not named: $(cat err)"
kill $holder

# ---- what was there is still there ----
intact pmlab.db
is "runs that finished" "$(sql pmlab.db "SELECT count(*) FROM run WHERE status = 'finished'")" "$before"
is "runs that neither finished nor failed" \
    "$(sql pmlab.db "SELECT count(*) FROM run WHERE status NOT IN ('finished', 'failed')")" 0
is "failed runs without a reason" \
    "$(sql pmlab.db "SELECT count(*) FROM run WHERE status = 'failed' AND reason IS NULL")" 0
finish
