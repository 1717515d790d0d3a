import assert from 'node:assert/strict'
import { appendFile, readFile, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { Ledger, segmentDay, type LedgerLine } from '../../src/uploader/ledger.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const day = '2025-01-25'
const line = (file: string): LedgerLine => ({
  ...{ file, camera: 'Front', start: '2025-01-25T15:30:45+00:00', durationSeconds: 10 },
  ...{ bytes: 7, crc32: '0a0b0c0d', endpoint: 'e', bucket: 'b', key: file, etag: 'x' },
  uploadedAt: '2025-01-25T15:31:00.000Z',
})

test('a line is found by its name, and by no other', async (t) => {
  const ledger = new Ledger(await temporaryFolder(t))
  await ledger.append(line('a.mp4'), day)
  assert.deepEqual(await ledger.linesOf('a.mp4', day), [line('a.mp4')])
  assert.deepEqual(await ledger.linesOf('b.mp4', day), [])
  assert.deepEqual(await ledger.linesOf('a.mp4', '2025-01-26'), [])
})

test('a cut-off last line spoils neither itself nor the next', async (t) => {
  const folder = await temporaryFolder(t)
  const ledger = new Ledger(folder)
  await ledger.append(line('a.mp4'), day)
  await appendFile(join(folder, `${day}.ndjson`), '{"file":"cut.mp4","byt')
  await ledger.append(line('b.mp4'), day)
  const text = await readFile(join(folder, `${day}.ndjson`), 'utf8')
  assert.equal(text.split('\n').length, 4)
  for (const name of ['a.mp4', 'b.mp4'])
    assert.deepEqual(await ledger.linesOf(name, day), [line(name)])
  assert.deepEqual(await ledger.linesOf('cut.mp4', day), [])
})

test('what is added between two looks is found, and what was cut off is not', async (t) => {
  const folder = await temporaryFolder(t)
  const [ledger, other] = [new Ledger(folder), new Ledger(folder)]
  for (const name of ['a.mp4', 'b.mp4', 'c.mp4']) {
    await other.append(line(name), day)
    assert.deepEqual(await ledger.linesOf(name, day), [line(name)])
  }
  const path = join(folder, `${day}.ndjson`)
  const [first = ''] = (await readFile(path, 'utf8')).split('\n')
  await truncate(path, first.length + 1)
  assert.deepEqual(await ledger.linesOf('a.mp4', day), [line('a.mp4')])
  assert.deepEqual(await ledger.linesOf('c.mp4', day), [])
})

test('lines that are written at once do not mix', async (t) => {
  const ledger = new Ledger(await temporaryFolder(t))
  const names = Array.from({ length: 20 }, (_, n) => `${n}.mp4`)
  await Promise.all(names.map(async (name) => ledger.append(line(name), day)))
  for (const name of names) assert.equal((await ledger.linesOf(name, day)).length, 1)
})

test('the day is that of the name, or else of the mtime', () => {
  assert.equal(segmentDay('Front_20250125_153045.mp4', 0), '2025-01-25')
  assert.equal(segmentDay('holiday.mp4', new Date(2024, 5, 7, 1).getTime()), '2024-06-07')
})

test('what was known of a file is known of it under each name that moves give it', async (t) => {
  const ledger = new Ledger(await temporaryFolder(t))
  const names = ['', '_2', '_2_3'].map((suffix) => `Front_20250125_153045${suffix}.mp4`)
  for (const name of names) {
    await ledger.append(line(name), day)
    const known = await ledger.linesOf(name, day)
    const upToIt = names.slice(0, names.indexOf(name) + 1)
    assert.deepEqual(known.map(({ file }) => file).sort(), upToIt.sort())
  }
})
