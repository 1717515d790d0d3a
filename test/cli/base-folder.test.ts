import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { baseFolderFaults } from '../../src/cli/base-folder.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

test('a base folder must be there, or be one that can be made', async (t) => {
  const folder = await temporaryFolder(t)
  const file = join(folder, 'file')
  await writeFile(file, '')
  assert.deepEqual(baseFolderFaults(folder), [])
  assert.deepEqual(baseFolderFaults(join(folder, 'not', 'yet')), [])
  for (const impossible of [file, join(file, 'below')])
    assert.deepEqual(baseFolderFaults(impossible), [
      { variable: 'BASE_DIR', found: impossible, expected: 'a folder that you can write to' },
    ])
})
