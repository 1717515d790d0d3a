import assert from 'node:assert/strict'
import { readFileSync, readlinkSync, statSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { keepStatus } from '../../src/daemon/status-file.ts'
import { HeldClock } from '../support/held-clock.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

test('a status that cannot be written is still a sign of life, and the last one outlives a stop', async (t) => {
  const folder = await temporaryFolder(t)
  const path = join(folder, 'recorder.json')
  // As on a full disk: the new content can't be written, and there is no file yet.
  symlinkSync('/nowhere/file', `${path}.new`)
  const clock = new HeldClock()
  const stop = new AbortController()
  const options = { daemon: 'recorder', folder, runFolder: folder, scrub: (text: string) => text }
  const kept = keepStatus(options, () => ({ cameras: [] }), clock, stop.signal)
  assert.equal(readlinkSync(join(folder, 'recorder.status')), path)
  assert.equal(readFileSync(path, 'utf8'), '')
  assert.equal(statSync(path).mtimeMs, clock.now())

  await clock.advance(2000)
  stop.abort()
  await kept
  const { pid } = JSON.parse(readFileSync(path, 'utf8')) as { pid: number }
  assert.equal(pid, process.pid)
})
