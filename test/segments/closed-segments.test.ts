import assert from 'node:assert/strict'
import { appendFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { ClosedSegments, type ClosedSegment } from '../../src/segments/closed-segments.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const day = '2025-01-25'
const segment = (inode: number, over: Partial<ClosedSegment> = {}): ClosedSegment => ({
  ...{ camera: 'Front', file: `Front_20250125_15304${inode}.mp4`, device: 1, inode },
  ...{ bytes: 1000, start: `2025-01-25T15:30:4${inode}.000+00:00`, durationSeconds: 1 },
  ...{ frames: 25, sounds: 0, ...over },
})
const fileOf = ({ device: dev, inode: ino, bytes: size }: ClosedSegment) => ({ dev, ino, size })

test('what is added later is found, by whoever looks', async (t) => {
  const folder = await temporaryFolder(t)
  const [writer, reader] = [new ClosedSegments(folder), new ClosedSegments(folder)]
  for (const inode of [1, 2, 3]) {
    await writer.append(segment(inode), day)
    const found = await Promise.all(
      [1, 2, 3].map(async (n) => reader.find(fileOf(segment(n)), day)),
    )
    assert.deepEqual(
      found.map((line) => line?.inode),
      [1, 2, 3].map((n) => (n <= inode ? n : undefined)),
    )
  }
})

test('a disk that has spoilt lines, times or a whole day keeps nobody from what is left', async (t) => {
  const folder = await temporaryFolder(t)
  const closed = new ClosedSegments(folder)
  const times = { by: 'stamp' as const, picture: [[10, 0]] as [number, number][], end: 1 }
  await closed.append(segment(1, { times }), day)
  await appendFile(join(folder, `${day}.ndjson`), '{"device":1,"inode":2,\n\0\0\n')
  await closed.append(segment(3, { times: { ...times, picture: [[1, null as never]] } }), day)
  await mkdir(join(folder, '2025-01-26.ndjson'))
  assert.deepEqual((await closed.find(fileOf(segment(1)), day))?.times, times)
  const third = await closed.find(fileOf(segment(3)), day)
  assert.deepEqual([third?.inode, third?.times], [3, undefined])
  const spans = await closed.lastSpans(4)
  assert.equal(spans.get('Front')?.length, 2)
})
