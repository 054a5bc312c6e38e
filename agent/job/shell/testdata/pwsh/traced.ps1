#!/usr/bin/env pwsh
Set-PSDebug -Trace 2
$ErrorActionPreference = 'Stop'
$PSNativeCommandUseErrorActionPreference = $false
${env:PLAIN} = 'a value'
try { ${PLAIN} = 'a value' } catch { }
${env:HOME} = '/root'
try { ${HOME} = '/root' } catch { }
${env:EMPTY} = ''
try { ${EMPTY} = '' } catch { }
${env:SPECIAL} = 'it''s ‘‘quoted’’ ‚‚twice‛‛ "$(exit 9)" `n $HOME
of two lines
@'' ''@ #'
try { ${SPECIAL} = 'it''s ‘‘quoted’’ ‚‚twice‛‛ "$(exit 9)" `n $HOME
of two lines
@'' ''@ #' } catch { }
[void][System.IO.Directory]::CreateDirectory('/builds/it''s a/project.tmp')
[System.IO.File]::WriteAllText('/builds/it''s a/project.tmp/FILE', 'content''
')
${env:FILE} = '/builds/it''s a/project.tmp/FILE'
try { ${FILE} = '/builds/it''s a/project.tmp/FILE' } catch { }
${env:GITLAB_ENV} = '/builds/it''s a/project.tmp/gitlab_runner_env'
if ([System.IO.File]::Exists(${env:GITLAB_ENV})) {
  foreach ($millwright_line in [System.IO.File]::ReadAllLines(${env:GITLAB_ENV})) {
    $millwright_name, $millwright_value = $millwright_line -split '=', 2
    if ($millwright_name -match '^[A-Za-z_][A-Za-z0-9_]*$' -and $null -ne $millwright_value) {
      [System.Environment]::SetEnvironmentVariable($millwright_name, $millwright_value)
      try { Set-Variable -Name $millwright_name -Value $millwright_value } catch { }
    }
  }
}
Set-Location -LiteralPath '/builds/it''s a/project'
[Console]::Out.WriteLine('[32;1m$ Write-Output ''hi''[0;m')
Write-Output 'hi'
if (-not $?) { exit $(if ($LASTEXITCODE) { $LASTEXITCODE } else { 1 }) }
exit 0
