# Exits 0 when WANT GPUs answer to their driver, and else 1 with what it says.
. ./env
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/var/lib/nvidia/bin:/opt/nvidia/bin
if ! command -v nvidia-smi >/dev/null 2>&1; then
	echo "nvidia-smi is not there"
	exit 1
fi
list=$(nvidia-smi --list-gpus 2>&1)
code=$?
echo "$list"
if [ $code -ne 0 ]; then exit 1; fi
[ "$(echo "$list" | grep -c '^GPU [0-9]')" -ge "$WANT" ]
