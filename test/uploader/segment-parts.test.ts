import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { copyFile, lstat, readFile, readdir, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { promisify } from 'node:util'
import type { ClosedSegment, TimeTable } from '../../src/segments/closed-segments.ts'
import type { GapLine } from '../../src/segments/gaps.ts'
import { finalize } from '../../src/uploader/finalize.ts'
import { changingSegment, type Piece } from '../mp4/changing-picture.ts'
import { journalLines } from '../support/journal-lines.ts'
import { mp4Files } from './crash-site.ts'
import { finalizing, never, openWorkbench, type Workbench } from './workbench.ts'

const run = promisify(execFile)

const small: Piece = { size: '64x36' }
const large: Piece = { size: '98x50' }
const name = 'Front_20250125_153045.mp4'
const start = '2025-01-25T15:30:45.400'
const day = '2025-01-25'

/** A segment that the recorder has closed, and when its frames were taken; a copy of it is kept. */
async function recorded(
  t: TestContext,
  pieces: Piece[],
  picture = slow(pieces),
): Promise<Workbench & { path: string; noteClosed: () => Promise<void> }> {
  const bench = await openWorkbench(t)
  const path = join(bench.folders.recordings, name)
  const kept = join(bench.folders.base, 'kept.mp4')
  await changingSegment(kept, pieces, { sound: true })
  await copyFile(kept, path)
  const noteClosed = async (): Promise<void> => {
    await utimes(path, 1737819060, 1737819060)
    const { dev: device, ino: inode, size: bytes } = await lstat(path)
    const durationSeconds = picture.at(-1)?.[1] ?? 0
    const times = { by: 'stamp' as const, picture, end: durationSeconds }
    const line = { camera: 'Front', file: name, device, inode, bytes, start, durationSeconds }
    await bench.deps.closed.append({ ...line, frames: 1, sounds: 1, times }, day)
  }
  await noteClosed()
  return { ...bench, path, noteClosed }
}

/** A camera whose clock is 10% slow. */
function slow(pieces: Piece[]): TimeTable {
  const seconds = pieces.length * 2
  return [
    [0, 0],
    [seconds, seconds * 1.1],
  ]
}

/** Size and frames of the picture of a file, which has to play. */
async function pictureOf(path: string): Promise<string> {
  const entries = 'stream=codec_tag_string,width,height,nb_read_frames'
  const counted = ['-v', 'error', '-count_frames', '-select_streams', 'v', '-show_entries', entries]
  const { stdout, stderr } = await run('ffprobe', [...counted, '-of', 'csv=p=0', path])
  assert.equal(stderr, '', path)
  return stdout.trim()
}

async function picturesIn(folder: string): Promise<Record<string, string>> {
  const names = await mp4Files(folder)
  const pictures = names.map(async (file) => [file, await pictureOf(join(folder, file))])
  return Object.fromEntries(await Promise.all(pictures)) as Record<string, string>
}

for (const [codec, tag] of [
  ['h264', 'avc1'],
  ['hevc', 'hvc1'],
] as const)
  test(`${codec} that changes and changes back is three files, each with its own size, name and frames`, async (t) => {
    const pieces = [small, large, small].map((piece) => ({ ...piece, codec }))
    const { folders, path, deps } = await recorded(t, pieces)
    const finalized = await finalize({ ...deps, proof: 'crc32' }, path, never)
    assert.ok(finalized.is === 'playable' && finalized.parts === 3, JSON.stringify(finalized))
    assert.deepEqual(await picturesIn(folders.recordings), {
      'Front_20250125_153045.mp4': `${tag},64,36,20`,
      'Front_20250125_153047.mp4': `${tag},98,50,20`,
      'Front_20250125_153049.mp4': `${tag},64,36,20`,
    })
    const final = journalLines<ClosedSegment>(folders.closed).filter((line) => line.isFinal)
    const facts = final.map(({ start: at, durationSeconds, frames }) => [
      new Date(at).toISOString().slice(17, 23),
      durationSeconds,
      frames,
    ])
    // The first comes last: it takes the place of the whole.
    assert.deepEqual(facts, [
      ['47.600', 2.2, 20],
      ['49.800', 2.2, 20],
      ['45.400', 2.2, 20],
    ])
  })

test('the sound of a picture that changes is divided with it', async (t) => {
  const { folders, path, deps } = await recorded(t, [small, large])
  await finalize({ ...deps, proof: 'crc32' }, path, never)
  const packets: number[] = []
  for (const file of await mp4Files(folders.recordings)) {
    const entries = ['-select_streams', 'a', '-show_entries', 'packet=pts_time', '-of', 'csv=p=0']
    const { stdout } = await run('ffprobe', [
      '-v',
      'error',
      ...entries,
      join(folders.recordings, file),
    ])
    const times = stdout.split('\n').filter(Boolean).map(Number)
    packets.push(times.length)
    assert.ok((times[0] ?? 1) < 0.1 && (times.at(-1) ?? 0) > 2, `${file}: ${times.join(' ')}`)
  }
  // 1024 of 16,000 samples each, and a few for what the encoder holds back.
  const all = packets.reduce((sum, count) => sum + count, 0)
  assert.ok(Math.abs(all - (4 * 16_000) / 1024) <= 4, packets.join(' '))
})

test('a segment that is divided once more after a crash has no part twice', async (t) => {
  const { folders, path, deps, noteClosed } = await recorded(t, [small, large, small])
  await finalize({ ...deps, proof: 'crc32' }, path, never)
  const once = await picturesIn(folders.recordings)
  // As it was before the first part took its place.
  await copyFile(join(folders.base, 'kept.mp4'), path)
  await noteClosed()
  const again = await finalize({ ...deps, proof: 'crc32' }, path, never)
  assert.ok(again.is === 'playable' && again.parts === 3)
  assert.deepEqual(await picturesIn(folders.recordings), once)
  assert.deepEqual(await readdir(folders.tmp), [])
})

test('a part whose name is taken gets another, and the file that has it stays', async (t) => {
  const { folders, path, deps, record } = await recorded(t, [small, large])
  const other = await record('Front_20250125_153047.mp4')
  const content = await readFile(other)
  await finalize({ ...deps, proof: 'crc32' }, path, never)
  assert.deepEqual(await readFile(other), content)
  const part = join(folders.recordings, 'Front_20250125_153047_2.mp4')
  assert.equal(await pictureOf(part), 'avc1,98,50,20')
})

test('each part is an object of its own, and one begins where the other ends', async (t) => {
  const { folders, ship, server, path, ledgerText, log } = await recorded(t, [small, large, small])
  assert.equal((await ship(path)).why, 'shipped')
  for (const file of await mp4Files(folders.recordings))
    assert.equal((await ship(join(folders.recordings, file))).why, 'shipped')
  const lines = (await ledgerText(day)).trim().split('\n')
  const parts = lines.map((line) => JSON.parse(line) as { start: string; durationSeconds: number })
  const [first, second, third] = parts.map((part) => Date.parse(part.start))
  assert.deepEqual([Number(second) - Number(first), Number(third) - Number(second)], [2200, 2200])
  assert.deepEqual(
    parts.map(({ durationSeconds }) => durationSeconds),
    [2.2, 2.2, 2.2],
  )
  assert.equal(server.objects.size, 3)
  assert.equal(log.count(/^INFO divided where its picture changes .*"parts":3/), 1)
})

test('a camera that pauses while its picture changes leaves a gap between the parts', async (t) => {
  const { ship, path, gapsText } = await recorded(
    t,
    [small, large],
    [
      [0, 0],
      [1.9, 1.9],
      [2, 5],
      [4, 7],
    ],
  )
  assert.equal((await ship(path)).why, 'shipped')
  const { from, seconds, reason } = JSON.parse(await gapsText(day)) as GapLine
  assert.deepEqual(
    [from.slice(0, 21), seconds, reason],
    ['2025-01-25T15:30:47.4', 3, 'camera paused'],
  )
})

test('without a line of the recorder a segment is divided by its name; of an unknown camera it is not', async (t) => {
  const { folders, deps } = await openWorkbench(t)
  for (const file of ['Front_20250125_153045.mp4', 'holiday.mp4'])
    await changingSegment(join(folders.recordings, file), [small, large])
  for (const file of await mp4Files(folders.recordings))
    await finalize(finalizing(folders, deps.tools), join(folders.recordings, file), never)
  assert.deepEqual(await mp4Files(folders.recordings), [
    'Front_20250125_153045.mp4',
    'Front_20250125_153047.mp4',
    'holiday.mp4',
  ])
})
