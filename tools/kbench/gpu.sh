#!/bin/sh
# Everything that there is to measure on a GPU, in one go, with programs that were built elsewhere. A step that fails is
# noted and the next one begins. docs/BENCHMARKING.md, "On a machine for an hour", says how to use it.
set -u

usage() {
    cat >&2 <<'END'
usage: gpu.sh -k KBENCH -r RANVIL -o DIRECTORY [OPTION]... FILE...

  -k PROGRAM    kbench
  -r PROGRAM    ranvil
  -o DIRECTORY  where records, logs and reports go; what is there is not overwritten
  -p FILE       rows of peers, as nvcomp_bench prints them, for the report
  -s STEPS      some of: limits,verify,measure,roofline,compare,bench,host,small,sweep,report
  -t SECONDS    for all of it (720); what does not fit is left out, and said to be
  -m SECONDS    for a case on a clock, at most (2)
  -z SIZE       raw bytes that the FILEs are repeated to (1G)
  -a            software devices too: to try this script out

RANVIL_DEVICE names the device; without it, it is 0.
END
    exit 2
}

kbench='' ranvil='' out='' peers='' software='' total=720 most=2 size=1G
steps=limits,verify,measure,roofline,compare,bench,host,small,sweep,report
while getopts k:r:o:p:s:t:m:z:a option; do
    case $option in
    k) kbench=$OPTARG ;;
    r) ranvil=$OPTARG ;;
    o) out=$OPTARG ;;
    p) peers=$OPTARG ;;
    s) steps=$OPTARG ;;
    t) total=$OPTARG ;;
    m) most=$OPTARG ;;
    z) size=$OPTARG ;;
    a) software=--allow-software ;;
    *) usage ;;
    esac
done
shift $((OPTIND - 1))
[ -n "$kbench" ] && [ -n "$ranvil" ] && [ -n "$out" ] && [ $# -gt 0 ] || usage
for tool in "$kbench" "$ranvil"; do
    [ -x "$tool" ] || { echo "gpu.sh: $tool is no program" >&2; exit 2; }
done
case $size in
*G) bytes=$((${size%G} << 30)) ;;
*M) bytes=$((${size%M} << 20)) ;;
*K) bytes=$((${size%K} << 10)) ;;
*) bytes=$((size)) ;;
esac

export RANVIL_DEVICE="${RANVIL_DEVICE:-0}"
unset RANVIL_VALIDATION
mkdir -p "$out" || exit 2
start=$(date +%s)
# The files one behind the other for kbench, which repeats them itself; and repeated, for ranvil bench.
data=$out/data.bin tiled=$out/tiled.bin
[ -e "$data" ] || cat "$@" >"$data" || exit 2
[ -s "$data" ] || { echo "gpu.sh: the data is empty" >&2; exit 2; }
if ! [ -e "$tiled" ]; then
    while cat "$data"; do :; done 2>/dev/null | head -c "$bytes" >"$tiled" || exit 2
fi

# Time for the report is kept back.
left() { [ -z "$stopped" ] && echo $((total - 30 - $(date +%s) + start)) || echo 0; }

# Ctrl-C ends the step that runs and leaves the others out, all but the report; once more ends that too.
stopped='' running=''
stop() {
    [ -z "$running" ] || kill "$running" 2>/dev/null
    [ -z "$stopped" ] || exit 130
    stopped=stopped
}
trap stop HUP INT TERM

failed=0
# step NAME LIMIT COMMAND...: runs it for LIMIT seconds at most, with its output in NAME.log, and notes how it ended.
step() {
    name=$1 limit=$2
    shift 2
    remaining=$(left)
    case $name in report-*) remaining=30 ;; esac
    if [ "$remaining" -lt 3 ]; then
        outcome="LEFT OUT: ${stopped:-no time}" seconds=0 failed=$((failed + 1))
    else
        [ "$limit" -lt "$remaining" ] || limit=$remaining
        before=$(date +%s)
        timeout -k 5 "$limit" "$@" >"$out/$name.log" 2>&1 &
        running=$!
        # A signal may have come before there was anything to end.
        case $stopped$name in stoppedreport-*) ;; stopped*) kill "$running" ;; esac
        wait "$running"
        code=$?
        # A signal ends the waiting, not the step.
        while kill -0 "$running" 2>/dev/null; do
            wait "$running"
            code=$?
        done
        running=''
        seconds=$(($(date +%s) - before))
        case $code in
        0) outcome=ok ;;
        124 | 137) outcome="STOPPED after $limit s" failed=$((failed + 1)) ;;
        129 | 130 | 143) outcome=STOPPED failed=$((failed + 1)) ;;
        *) outcome="FAILED ($code): $(tail -n 1 "$out/$name.log" | cut -c 1-90)" failed=$((failed + 1)) ;;
        esac
    fi
    printf '%-26s %4s s  %s\n' "$name" "$seconds" "$outcome" | tee -a "$out/steps.txt"
}

wanted() { case ",$steps," in *",$1,"*) ;; *) return 1 ;; esac }

# take NAME LIMIT SUBCOMMAND...: a step of kbench with a record.
take() {
    name=$1 limit=$2
    shift 2
    # shellcheck disable=SC2086 # The flag is a word, or none.
    step "$name" "$limit" "$kbench" "$@" $software --json "$out/$name.json"
}

# The same over the data, briefly.
code() {
    name=$1 limit=$2
    shift 2
    take "$name" "$limit" "$@" --data "$data" --size "$size" --least 0.3 --most "$most"
}

if wanted limits; then
    step devices 20 "$ranvil" --list-devices
    take limits 40 limits --least 0.3 --most "$most"
    step list 20 "$kbench" list
    step own 60 "$kbench" static --own --json "$out/own.json"
fi
if wanted verify; then
    for coder in rans fse huff; do
        step "verify-$coder" 90 "$kbench" verify --coder "$coder"
    done
fi
if wanted measure; then
    for block in 256K 64K; do
        for coder in rans fse huff; do
            code "measure-$coder-$block" 60 measure --block "$block" --coder "$coder"
        done
    done
fi
wanted roofline && code roofline 90 roofline
if wanted compare; then
    for coder in rans fse huff; do
        for direction in decode encode; do
            code "compare-$coder-$direction" 120 compare auto all --coder "$coder" --direction "$direction"
        done
    done
fi
# Each pipeline both ways on the CPU, on the device and on both; and one trace.
if wanted bench; then
    for pipeline in rans lzseqr; do
        for way in '' -d; do
            for devices in cpu "$RANVIL_DEVICE" "cpu,$RANVIL_DEVICE"; do
                for form in '' --slices; do
                    # A device's name may hold what no file's should.
                    place=$(echo "$devices" | tr -c 'A-Za-z0-9,\n' _)
                    name=bench-$pipeline${way:+$way}-$place${form#-}
                    # shellcheck disable=SC2086 # The flags are words, or none.
                    step "$name" 45 "$ranvil" bench $way $form --pipeline "$pipeline" --device "$devices" \
                        --print-scheduler-stats --iterations 3 "$tiled"
                done
            done
        done
    done
    step trace 45 "$ranvil" bench -d --slices --pipeline rans --device "cpu,$RANVIL_DEVICE" --iterations 1 \
        --print-scheduler-stats --trace "$out/trace.json" "$tiled"
fi
if wanted host; then
    for coder in rans fse huff; do
        code "host-$coder" 60 measure --clock host --coder "$coder"
    done
fi
wanted small && take small 120 small --data "$data" --least 0.2 --most 1
if wanted sweep; then
    for coder in rans fse huff; do
        code "sweep-$coder" 90 sweep block=16K..1M --clock device --coder "$coder"
    done
fi
if wanted report; then
    set --
    for record in "$out"/*.json; do
        [ "$record" = "$out/trace.json" ] || ! [ -e "$record" ] || set -- "$@" "$record"
    done
    # Rows that cannot be read are not to cost the report.
    if [ -n "$peers" ] && [ $# -gt 0 ]; then
        step report-peers 30 "$kbench" report --format csv -o /dev/null "$1" "$peers"
        [ "$outcome" != ok ] || set -- "$@" "$peers"
    fi
    for format in html markdown csv; do
        step "report-$format" 30 "$kbench" report --force --format "$format" -o "$out/report.$format" "$@"
    done
fi

# What a terminal holds: the product's speeds, and what was found to differ from it.
echo
if grep -qs '"software": true' "$out"/*.json; then
    echo '*** A SOFTWARE DEVICE: these figures say nothing about any GPU'
fi
if [ -e "$out/report.markdown" ]; then
    echo "auto, all kernels (work, clock, block, ratio, GB/s):"
    awk -F ' [|] ' '$2 == "all" && $4 == "auto" && !seen[$1 $3 $5]++ {
        printf "  %-12s %-7s %8s  %s  %9s\n", substr($1, 3), $3, $5, $10, $11 }' "$out/report.markdown"
fi
for log in "$out"/compare-*.log; do
    [ -e "$log" ] || continue
    awk '/^B: / { name = $0; sub(/^B: /, "", name); sub(/, blocks.*/, "", name) }
        /^B is/ && !/ SAME/ { print "  " name ": " $3 " " $4 " (" $8 " to " $10 ")" }' "$log"
done
for log in "$out"/bench-*.log; do
    [ -e "$log" ] && printf '  %-34s %s\n' "$(basename "$log" .log)" "$(grep -v _STATS "$log" | tail -n 1)"
done
echo "steps that failed or were left out: $failed; $(($(date +%s) - start)) s in all; see $out/report.html"
[ "$failed" -eq 0 ]
