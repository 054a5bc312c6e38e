// Package winrmd gives tests a host that speaks WS-Management as WinRM does: shells, commands with input and output, long polls, signals. No Windows
// can be had where the tests run, so commands are those of the local system: a POSIX shell takes the place of cmd.exe, and powershell.exe and
// cygpath are small scripts that know what the agent asks of them. As on Windows, a shell that is deleted takes all that runs in it with it, unless
// the WMI service started it. It is for Linux alone.
package winrmd
