// status.sh: how each of the installations is whose ENV_FILEs are given. With --watch again every
// second, until it is ended.
import { styleText } from 'node:util'
import { systemClock } from '../daemon/clock.ts'
import { applyEnvironment, readEnvironment } from '../daemon/environment.ts'
import { readArguments } from './arguments.ts'
import { readReport, type InstallationReport } from './installation-report.ts'
import { cameraState, exitCodes, isAlive, judge, type Judgement } from './judgement.ts'
import { plain, statusText, width, type Paint } from './status-text.ts'
import { wrap } from '../daemon/units.ts'

interface Judged {
  report: InstallationReport
  judgement: Judgement
}

const daemons = ['recorder', 'uploader'] as const
/** They give one every 2 s. */
const nextSignMs = 2500
const watchEveryMs = 1000
/** Where a terminal doesn't say how high it is. */
const usualRows = 24
const styles = { good: 'green', poor: 'yellow', bad: 'red', faint: 'dim' } as const

const { values, positionals } = readArguments(
  {
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      watch: { type: 'boolean', default: false },
    },
  },
  'usage: status.sh [--watch] [--json]',
)
applyEnvironment(readEnvironment())
const isPainted = process.stdout.isTTY && process.stdout.hasColors()
const paint: Paint = isPainted ? (text, as) => styleText(styles[as], text) : plain

let judged = await lookAtAll()
if (values.watch) process.stdout.on('error', endWatch)
while (values.watch) {
  process.stdout.write(redrawn(shown(judged)))
  await systemClock.sleep(watchEveryMs)
  judged = await lookAtAll()
}
process.stdout.write(shown(judged))
process.exitCode = exitCode()

/** The worst counts; nothing to look at is not well. */
function exitCode(): number {
  const codes = judged.map(({ judgement }) => exitCodes[judgement.verdict])
  return codes.length === 0 ? exitCodes.down : Math.max(...codes)
}

/** Of `status.sh --watch | head` nobody reads on; that nothing can be written is another matter. */
function endWatch(error: NodeJS.ErrnoException): void {
  process.exit(error.code === 'EPIPE' ? 0 : exitCode())
}

async function lookAtAll(): Promise<Judged[]> {
  const reports = await Promise.all(positionals.map(lookAt))
  return reports.map((report) => ({ report, judgement: judge(report, systemClock.now()) }))
}

function shown(installations: Judged[]): string {
  if (values.json) return `${JSON.stringify(asJson(installations), undefined, 2)}\n`
  const nowMs = systemClock.now()
  return installations
    .map(({ report, judgement }) => {
      const title = installations.length > 1 ? wrap(`── ${report.envFile}`, width, 3) : []
      const text = statusText(report, judgement, { nowMs, paint })
      return [...title, text].join('\n')
    })
    .join('\n')
}

/** Over what stood there before, without a flicker; in a pipe, below it. A long line is cut, not wrapped. */
function redrawn(text: string): string {
  if (!process.stdout.isTTY) return `${text}\n`
  const rows = process.stdout.rows || usualRows
  const lines = text
    .trimEnd()
    .split('\n')
    .slice(0, rows - 1)
  const drawn = lines.map((line) => `${line}\x1b[K\n`).join('')
  return `\x1b[?7l\x1b[H${drawn}\x1b[J\x1b[?7h`
}

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
function asJson(installations: Judged[]): object {
  const nowMs = systemClock.now()
  const [first, second] = installations.map(({ report, judgement }) => {
    const { recorder } = report
    const cameras = recorder.status?.cameras?.map((camera) => ({
      ...camera,
      state: cameraState(camera, nowMs),
    }))
    const status = recorder.status && { ...recorder.status, ...(cameras && { cameras }) }
    return { ...judgement, ...report, recorder: { ...recorder, status } }
  })
  return { ...first, ...(second && { demo: second }) }
}
