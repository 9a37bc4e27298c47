# SPDX-License-Identifier: GPL-3.0-or-later
# Prints one line "file:line: what" for everything untidy in the files given; see check_tidy.sh.

function say(what) { print FILENAME ":" FNR ": " what }

# The line without strings, character constants and comments; in_comment goes on to the next line.
function code_of(line,    out, start) {
    out = ""
    while (line != "") {
        if (in_comment) {
            start = index(line, "*/")
            if (!start) return out
            line = substr(line, start + 2)
            in_comment = 0
        } else if (match(line, /"([^"\\]|\\.)*"|'([^'\\]|\\.)+'|\/\*|\/\//)) {
            start = substr(line, RSTART, 2)
            out = out substr(line, 1, RSTART - 1)
            line = substr(line, RSTART + RLENGTH)
            if (start == "//") return out
            if (start == "/*") in_comment = 1
            else out = out "\"\""
        } else {
            return out line
        }
    }
    return out
}

function banned(call, code) {
    if (code ~ "(^|[^A-Za-z0-9_])" call " *\\(") say(call "() is banned here")
}

function check_calls(code,    i) {
    for (i in everywhere) banned(everywhere[i], code)
    if (folder ~ /^(core|sim|policies|workloads)$/) banned("time", code)
    if (folder ~ /^(core|sim|real|policies|workloads|results)$/) banned("exit", code)
    if (folder ~ /^(core|policies|workloads|results)$/) banned("_exit", code)
}

function check_seams(code) {
    if (folder == "core" && code ~ /if \(policy == / && code !~ /policy == NULL/)
        say("core decides by the policy's identity")
    if (folder ~ /^(core|sim|real)$/ && code ~ /cmp *\(.*policy->name/) say("decides by the policy's name")
    if (code ~ /^ *# *(if|elif).*[^A-Za-z0-9_](PM_)?SIM(ULATED|ULATION)?([^A-Za-z0-9_]|$)/)
        say("compiled differently for simulation")
}

# Functions begin with a brace in the first column or at the end of a line that begins there.
function check_function(line) {
    if (line ~ /^\{/ || line ~ /^[A-Za-z_].*\) *\{$/) function_at = FNR
    else if (line ~ /^\}/ && function_at) {
        if (FNR - function_at + 1 > 70) say("function of " FNR - function_at + 1 " lines, at most 70")
        function_at = 0
    }
}

BEGIN { split("strcpy strcat sprintf vsprintf gets rand srand alloca system", everywhere, " ") }

FNR == 1 {
    if (previous != "" && !licensed) print previous ": no SPDX line at its head"
    previous = FILENAME
    folder = FILENAME
    sub(/\/.*/, "", folder)
    is_c = FILENAME ~ /\.[ch]$/
    licensed = in_comment = function_at = 0
}

FNR <= 3 && /SPDX-License-Identifier: GPL-3.0-or-later/ { licensed = 1 }
length($0) > 132 { say("line of " length($0) " characters, at most 132") }
/[ \t]$/ { say("blank at the end of the line") }
/\t/ && FILENAME != "Makefile" { say("tab") }
/(^|[^A-Za-z0-9_])(TO[D]O|FIX[M]E|XX[X])([^A-Za-z0-9_]|$)/ { say("a note of something unfinished") }

is_c {
    if (FNR == 601) say("file of more than 600 lines")
    code = code_of($0)
    check_calls(code)
    check_seams(code)
    check_function($0)
}

END { if (previous != "" && !licensed) print previous ": no SPDX line at its head" }
