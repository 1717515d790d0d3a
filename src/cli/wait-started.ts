// start.sh: waits until what was started has come up or failed once, and says how it is.
import { systemClock } from '../daemon/clock.ts'
import { readEnvironment } from '../daemon/environment.ts'
import { readReport } from './installation-report.ts'
import { isAlive } from './judgement.ts'
import { isSettled, startedText } from './started-text.ts'

const waitAtMostMs = 10_000
const lookEveryMs = 200

const environment = readEnvironment()
const started = systemClock.monotonicMs()
let report = await readReport(environment)
while (
  !isSettled(report, systemClock.now()) &&
  systemClock.monotonicMs() - started < waitAtMostMs
) {
  await systemClock.sleep(lookEveryMs)
  report = await readReport(environment)
}
const nowMs = systemClock.now()
process.stdout.write(startedText(report, nowMs))
process.exitCode = isAlive(report.recorder, nowMs) && isAlive(report.uploader, nowMs) ? 0 : 1
