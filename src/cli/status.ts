// status.sh: how each of the installations is whose ENV_FILEs are given.
import { parseArgs } from 'node:util'
import { systemClock } from '../daemon/clock.ts'
import { applyEnvironment, readEnvironment } from '../daemon/environment.ts'
import { readReport, type InstallationReport } from './installation-report.ts'
import { exitCodes, isAlive, judge } from './judgement.ts'
import { statusText } from './status-text.ts'

const daemons = ['recorder', 'uploader'] as const
/** They give one every 2 s. */
const nextSignMs = 2500

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean', default: false } },
})
applyEnvironment(readEnvironment())
const reports = await Promise.all(positionals.map(lookAt))
const nowMs = systemClock.now()
const installations = reports.map((report) => ({ report, judgement: judge(report, nowMs) }))

const text = values.json
  ? `${JSON.stringify(asJson(), undefined, 2)}\n`
  : installations
      .map(({ report, judgement }) => {
        const title = installations.length > 1 ? `── ${report.envFile}\n` : ''
        return title + statusText(report, judgement, nowMs)
      })
      .join('\n')
process.stdout.write(text)
process.exitCode = Math.max(...installations.map(({ judgement }) => exitCodes[judgement.verdict]))

/** A daemon that seems to be silent is given the time for its next sign: the clock may have been set. */
async function lookAt(file: string): Promise<InstallationReport> {
  const environment = readEnvironment({ ENV_FILE: file })
  const report = await readReport(environment)
  const seemsSilent = daemons.some(
    (name) => report[name].status && !isAlive(report[name], systemClock.now()),
  )
  if (!seemsSilent) return report
  await systemClock.sleep(nextSignMs)
  const later = await readReport(environment)
  for (const name of daemons)
    if (later[name].seenAtMs !== report[name].seenAtMs) later[name].seenAtMs = systemClock.now()
  return later
}

/** One installation is the object itself; a demo beside it is its property `demo`. */
function asJson(): object {
  const [first, second] = installations.map(({ report, judgement }) => ({
    ...judgement,
    ...report,
  }))
  return { ...first, ...(second && { demo: second }) }
}
