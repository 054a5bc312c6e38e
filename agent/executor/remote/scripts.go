package remote

// What is run on the host, for any POSIX shell. Each may be run again when nobody knows whether it was: a connection can be lost at any time.

// openScript makes the job's folder (first argument) and tells about the host. The second argument is the shell that jobs want. With -W the
// shell of Git for Windows names a directory as Windows does.
const openScript = `umask 077; mkdir -p %s || exit 1
echo "millwright_home=$(pwd -W 2>/dev/null || pwd)"
echo "millwright_system=$(uname -s)"
echo "millwright_arch=$(uname -m)"
echo "millwright_shell=$(command -v %s)"
for name in gitlab-runner-helper millwright-helper gitlab-runner; do
	if command -v "$name" >/dev/null 2>&1; then echo "millwright_helper=$name"; break; fi
done
exit 0`

// putScript writes its input to a file (first argument) of so many bytes (second) with a mode (third). Input that was cut off leaves
// nothing.
const putScript = `umask 077; path=%s
case $path in */*) mkdir -p "${path%%/*}" ;; esac
cat >"$path.$$" && [ "$(wc -c <"$path.$$")" -eq %d ] && chmod %s "$path.$$" && mv -f "$path.$$" "$path" && exit 0
rm -f "$path.$$"; exit 1`

// launcher runs a stage's script: the stage's folder is its first argument, the shell the second, the job's folder the third, what the shell
// is told the fourth, and the script's name the fifth. TERM to the group reaches the script too, whose end it waits for.
const launcher = `#!/bin/sh
trap : TERM
echo $$ >"$1/pid.new" && mv "$1/pid.new" "$1/pid"
MILLWRIGHT_JOB_DIR=$3
export MILLWRIGHT_JOB_DIR
"$2" $4 "$1/$5" </dev/null >"$1/out" 2>"$1/err"
echo $? >"$1/code.new" && mv "$1/code.new" "$1/code"
`

// startScript starts the launcher of a stage (its folder is the first argument, the shell the second, the job's folder the third, what the shell is
// told the fourth, the script's name the fifth), once however often it is run, in a session of its own where the host can, and returns when it runs.
//
// What is started over WinRM ends with the command that starts it. So on Windows, where there is cygpath, the launcher is started by the WMI
// service, which PowerShell asks (the last argument).
const startScript = `stage=%s
set -- "$stage" %s %s %s %s
if mkdir "$stage/started" 2>/dev/null; then
	: >"$stage/out"; : >"$stage/err"
	if command -v cygpath >/dev/null 2>&1; then
		line="\"$(cygpath -w "$(command -v bash)")\" -l"
		for word in "${stage%%/*}/launch" "$@"; do
			case $word in /tmp/*) word=$(cygpath -m "$word") ;; esac # which the service's own environment might put elsewhere
			line="$line \"$word\""
		done
		printf '%%s' "$line" | powershell.exe -NoProfile -NonInteractive -EncodedCommand %s >/dev/null || { rmdir "$stage/started"; exit 1; }
	elif command -v setsid >/dev/null 2>&1; then
		setsid sh "${stage%%/*}/launch" "$@" </dev/null >/dev/null 2>&1 &
	else
		bash -c 'set -m; sh "${1%%/*}/launch" "$@" </dev/null >/dev/null 2>&1 &' sh "$@" </dev/null >/dev/null 2>&1
	fi
fi
n=0
while [ ! -s "$stage/pid" ]; do
	n=$((n + 1)); [ $n -lt 300 ] || { echo "the script did not start" >&2; exit 1; }
	sleep 0.1
done
exit 0`

// createProcess has the WMI service start the command line that it reads. Source: Microsoft's documentation, "Create method of the Win32_Process
// class".
const createProcess = `$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$made = Invoke-CimMethod -ClassName Win32_Process -MethodName Create -Arguments @{ CommandLine = [Console]::In.ReadToEnd() }
if ($made.ReturnValue -ne 0) { [Console]::Error.WriteLine("the WMI service does not start the script: Win32_Process.Create returned $($made.ReturnValue); is the login an administrator's?") }
exit $made.ReturnValue`

// followScript prints what the stage (its folder is the first argument) writes beyond so many bytes of its output and its errors, until it
// has ended. A mark (last argument) comes first on both: what a login says of its own accord is no output of the job. Exit code 0 means
// that it has ended, 4 that its processes are gone without a word.
const followScript = `cd %s || exit 5
o=%d; e=%d; n=0
echo %s; echo %[4]s >&2
while :; do
	end=
	kill -0 "$(cat pid 2>/dev/null)" 2>/dev/null || end=gone
	[ -e code ] && end=done
	size=$(($(wc -c <out)))
	if [ $size -gt $o ]; then tail -c +$((o + 1)) out | head -c $((size - o)); o=$size; n=0; fi
	size=$(($(wc -c <err)))
	if [ $size -gt $e ]; then tail -c +$((e + 1)) err | head -c $((size - e)) >&2; e=$size; n=0; fi
	case $end in done) exit 0 ;; gone) [ -e code ] || exit 4; continue ;; esac
	n=$((n + 1))
	if [ $n -lt 20 ]; then sleep 0.02; else sleep 0.2; fi
done`

// signalScript sends a signal (first argument) to what a job (its folder is the second) runs: the groups that the files of the third
// argument name, and where the host lets us look, whatever has the job's mark. On Windows the children of programs that are not of Git for Windows
// get no signal: they are ended with the tree that they belong to.
const signalScript = `signal=%s; dir=%s
if [ "$signal" = KILL ] && command -v cygpath >/dev/null 2>&1; then
	for file in %[3]s; do
		[ -s "$file" ] && at=$(cat "/proc/$(cat "$file")/winpid" 2>/dev/null) && MSYS_NO_PATHCONV=1 taskkill.exe /F /T /PID "$at" >/dev/null 2>&1
	done
fi
for file in %[3]s; do [ -s "$file" ] && kill -"$signal" "-$(cat "$file")"; done 2>/dev/null
grep -lzxF "MILLWRIGHT_JOB_DIR=$dir" /proc/[0-9]*/environ 2>/dev/null | while IFS=/ read -r x y pid z; do
	[ "$pid" = $$ ] || kill -"$signal" "$pid" 2>/dev/null
done
exit 0`

// leftScript ends with 0 while something that a stage (its pid file is the argument) runs is left in its group.
const leftScript = `kill -0 "-$(cat %s)" 2>/dev/null`

// resumeScript tells the number of the last stage in a job's folder (the argument); 0 when there is none yet.
const resumeScript = `cd %s || exit 3
last=0
for stage in [0-9]*; do [ -d "$stage" ] && [ "$stage" -gt "$last" ] && last=$stage; done
echo $last`
