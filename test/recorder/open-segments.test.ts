import assert from 'node:assert/strict'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { systemClock } from '../../src/daemon/clock.ts'
import { createLog } from '../../src/daemon/logger.ts'
import { Redactor } from '../../src/daemon/redact.ts'
import { OpenSegments } from '../../src/recorder/open-segments.ts'
import { ClosedSegments } from '../../src/segments/closed-segments.ts'
import { foldersBelow, makeFolders } from '../../src/segments/folders.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

test('an empty segment, as a full disk leaves it, is deleted when it is closed; any other is kept', async (t) => {
  const folders = foldersBelow(await temporaryFolder(t))
  await makeFolders(folders)
  const options = { folder: folders.logs, daemon: 'recorder', retentionDays: 1, maxBytes: 1e8 }
  const log = createLog({ ...options, level: 'ERROR', format: 'text' }, new Redactor(), systemClock)
  const closed = new ClosedSegments(folders.closed)
  const segments = new OpenSegments(folders, { closed, log })
  const [empty, full] = ['Front_20250125_153000.mp4', 'Front_20250125_154000.mp4']
  await writeFile(join(folders.open, empty), '')
  await writeFile(join(folders.open, full), 'x')
  assert.equal(await segments.close(empty), undefined)
  assert.deepEqual(await segments.close(full), { file: full, bytes: 1 })
  assert.deepEqual((await readdir(folders.recordings)).sort(), [full, 'open'].sort())
  assert.deepEqual(await readdir(folders.open), [])
})
