// start.sh --demo: waits until an upload has been verified, and prints the object's key.
import { systemClock } from '../daemon/clock.ts'
import { readEnvironment } from '../daemon/environment.ts'
import { readReport } from './installation-report.ts'

const waitAtMostMs = 40_000
const lookEveryMs = 200

const environment = readEnvironment()
const started = systemClock.monotonicMs()
let key: string | undefined
while (key === undefined && systemClock.monotonicMs() - started < waitAtMostMs) {
  const { uploader } = await readReport(environment)
  key = uploader.pid === undefined ? undefined : uploader.status?.lastUpload?.key
  if (key === undefined) await systemClock.sleep(lookEveryMs)
}
if (key === undefined) process.exitCode = 1
else process.stdout.write(`${key}\n`)
