#!/bin/sh
# Looks for what an editor should have removed. Plain sh and grep, as busybox has them.
bad=0
check() {
	if grep -n "$1" src/* tests/*.c scripts/* Makefile; then
		echo "FAIL $2"
		bad=1
	else
		echo "ok   no $2"
	fi
}

check '[[:blank:]]$' 'blanks at the end of a line'
check "$(printf '\r')" 'carriage returns'
check '^ \{8\}' 'blanks where a tab belongs'
exit $bad
