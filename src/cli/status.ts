// status.sh: how each of the installations is whose ENV_FILEs are given.
import { parseArgs } from 'node:util'
import { systemClock } from '../daemon/clock.ts'
import { applyEnvironment, readEnvironment } from '../daemon/environment.ts'
import { readReport } from './installation-report.ts'
import { exitCodes, judge } from './judgement.ts'
import { statusText } from './status-text.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean', default: false } },
})
applyEnvironment(readEnvironment())
const nowMs = systemClock.now()
const installations = await Promise.all(
  positionals.map(async (file) => {
    const report = await readReport(readEnvironment({ ENV_FILE: file }))
    return { report, judgement: judge(report, nowMs) }
  }),
)

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

/** One installation is the object itself; a demo beside it is its property `demo`. */
function asJson(): object {
  const [first, second] = installations.map(({ report, judgement }) => ({
    ...judgement,
    ...report,
  }))
  return { ...first, ...(second && { demo: second }) }
}
