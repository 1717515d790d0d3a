// restart.sh: deletes old logs, temporary files and empty recordings, while nothing runs.
import { rm } from 'node:fs/promises'
import { systemClock } from '../daemon/clock.ts'
import { readEnvironment } from '../daemon/environment.ts'
import { readInstallation } from '../segments/installation.ts'
import { findLeftovers } from './leftovers.ts'
import { bytesText, count } from '../daemon/units.ts'

const read = readInstallation(readEnvironment())
if ('faults' in read) throw new Error('check-config comes first')
const { folders, log } = read.installation
const leftovers = await findLeftovers(folders, log.retentionDays, systemClock.now())
for (const { path } of leftovers) await rm(path, { recursive: true, force: true })
for (const kind of ['old log', 'temporary file', 'empty recording'] as const) {
  const some = leftovers.filter((leftover) => leftover.kind === kind)
  const bytes = some.reduce((sum, leftover) => sum + leftover.bytes, 0)
  if (some.length > 0)
    process.stdout.write(`Deleted ${count(some.length, kind)} (${bytesText(bytes)}).\n`)
}
