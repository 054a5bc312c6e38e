#!/usr/bin/env bash
# Stores the words' counts in Redis and reads them back, over a plain TCP connection and nothing but bash.
# Usage: redis.sh HOST PORT < lines of "count word"
set -euo pipefail
exec 3<>"/dev/tcp/$1/$2"

# redis COMMAND ARG... sends one command (RESP arrays of bulk strings) and prints the answer's value.
redis() {
	local arg line
	printf '*%d\r\n' $# >&3
	for arg in "$@"; do printf '$%d\r\n%s\r\n' ${#arg} "$arg" >&3; done
	IFS= read -r line <&3
	line=${line%$'\r'}
	case $line in
	-*) echo "redis: ${line#-}" >&2; return 1 ;;
	'$-1') return 0 ;;
	'$'*) IFS= read -r line <&3; printf '%s\n' "${line%$'\r'}" ;;
	*) printf '%s\n' "${line#[+:]}" ;;
	esac
}

[ "$(redis PING)" = PONG ]
words=()
sum=0
while read -r count word; do
	redis SET "tally:$word" "$count" >/dev/null
	redis INCRBY tally:sum "$count" >/dev/null
	words+=("$word")
	sum=$((sum + count))
done

echo "Redis holds $(redis DBSIZE) keys"
for word in "${words[@]}"; do printf '%4d %s\n' "$(redis GET "tally:$word")" "$word"; done
[ "$(redis GET tally:sum)" = "$sum" ]
echo "ok   the sum is $sum on both sides"
