import assert from 'node:assert/strict'
import { mkdir, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { findLeftovers } from '../../src/cli/leftovers.ts'
import { foldersBelow, makeFolders } from '../../src/segments/folders.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const kept = [
  'data/logs/recorder_new.log',
  'data/logs/recorder.log',
  'data/logs/notes.txt',
  'data/ledger/2025-01-25.ndjson',
  'data/quarantine/Front_20250125_150000.mp4',
  'recordings/Front_20250125_150000.mp4',
  'recordings/open/Front_20250125_151000.mp4',
  'uploaded/Front_20250125_140000.mp4',
]

const deleted = [
  'data/logs/recorder_old.log',
  'data/tmp/remux.mp4',
  'data/status/recorder.json.new',
  'recordings/.12.Front_20250125_150000.mp4.tmp',
  'recordings/Front_20250125_152000.mp4',
  'recordings/open/Garage_20250125_152000.mp4',
]

test('a clean restart deletes old logs, temporary files and empty recordings, and nothing else', async (t) => {
  const base = await temporaryFolder(t)
  const folders = foldersBelow(base)
  await makeFolders(folders)
  const now = Date.now()
  const weekAgo = now / 1000 - 7 * 86_400
  for (const path of [...kept, ...deleted]) {
    if (path === 'data/logs/recorder.log') await symlink('recorder_new.log', join(base, path))
    else await writeFile(join(base, path), /_152000/.test(path) ? '' : 'content')
    if (!path.includes('_new.') && !path.endsWith('recorder.log'))
      await utimes(join(base, path), weekAgo, weekAgo)
  }
  await mkdir(join(folders.tmp, 'folder'))

  const found = await findLeftovers(folders, 6, now)
  assert.deepEqual(
    found.map(({ path }) => path).sort(),
    deleted.map((path) => join(base, path)).sort(),
  )
  assert.deepEqual(await findLeftovers(foldersBelow(join(base, 'nowhere')), 6, now), [])
})
