import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { copyFile, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { promisify } from 'node:util'
import type { GapLine } from '../../src/segments/gaps.ts'
import { finalize } from '../../src/uploader/finalize.ts'
import { pausesIn } from '../../src/uploader/pauses.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { finalizing, fragmented, never, openWorkbench } from './workbench.ts'

const asRecorded = '+empty_moov+default_base_moof'
const faststart = '+faststart'

/** A clip of 10 s, 25 frames a second but for those that `select` leaves out. */
async function clip(
  path: string,
  select: string,
  movflags: string,
  preset = 'ultrafast',
): Promise<void> {
  const input = ['-f', 'lavfi', '-i', 'testsrc2=size=64x36:rate=25:duration=10']
  const filter = ['-vf', `select='${select}'`, '-fps_mode', 'passthrough']
  const codec = ['-c:v', 'libx264', '-preset', preset, '-g', '25']
  const output = ['-movflags', movflags, '-frag_duration', '1000000', path]
  await promisify(execFile)('ffmpeg', [
    '-v',
    'error',
    '-y',
    ...input,
    ...filter,
    ...codec,
    ...output,
  ])
}

async function pausesOf(t: TestContext, select: string, movflags: string, preset?: string) {
  const { folders } = await openWorkbench(t)
  const path = join(folders.recordings, 'Front_20250125_153045.mp4')
  await clip(path, select, movflags, preset)
  assert.equal((await finalize(finalizing(folders), path, never)).is, 'playable')
  return pausesIn(path)
}

// Frames are in the order in which they are shown, and with B-frames in another.
for (const [movflags, preset] of [
  [asRecorded, 'ultrafast'],
  [faststart, 'ultrafast'],
  [asRecorded, 'veryfast'],
  [faststart, 'veryfast'],
] as const) {
  test(`frames that are missing are pauses, each where it is and as long (${movflags}, ${preset})`, async (t) => {
    const pauses = await pausesOf(t, 'not(between(t,2,3.5)+between(t,6,8.99))', movflags, preset)
    const expected = [
      { atSeconds: 2, seconds: 1.52 },
      { atSeconds: 6, seconds: 3 },
    ]
    assert.equal(pauses.length, 2)
    for (const [index, { atSeconds, seconds }] of expected.entries()) {
      assert.ok(Math.abs((pauses[index]?.atSeconds ?? 0) - atSeconds) < 0.05)
      assert.ok(Math.abs((pauses[index]?.seconds ?? 0) - seconds) < 0.05)
    }
  })
}

test('a lost frame, a slow camera and one that becomes slow have no pauses', async (t) => {
  for (const select of [
    'not(eq(n,50))',
    'not(mod(n,50))',
    // Every second or two, unevenly.
    'eq(n,0)+eq(n,40)+eq(n,70)+eq(n,115)+eq(n,150)+eq(n,200)+eq(n,230)',
    'lt(t,4)+not(mod(n,30))',
    'lt(t,5)+eq(n,150)+eq(n,190)+eq(n,225)',
    'gt(t,6)+eq(n,0)+eq(n,40)+eq(n,95)',
  ])
    assert.deepEqual(await pausesOf(t, select, asRecorded), [], select)
})

test('a file that has no index of ours or of FFmpeg has none', async (t) => {
  const path = join(await temporaryFolder(t), 'other.mp4')
  await copyFile(await fragmented(), path)
  assert.deepEqual(await pausesIn(path), [])
  for (const content of ['', 'no movie at all', '\0\0\0\x08moov', '\0\0\0\x10moov\0\0\0\x08trak']) {
    await writeFile(path, content)
    assert.deepEqual(await pausesIn(path), [])
  }
  await writeFile(path, Buffer.from('\x90\0\0\0moov', 'latin1'))
  await truncate(path, 0x9000_0000)
  assert.deepEqual(await pausesIn(path), [])
})

test('a pause in a segment becomes one line in data/gaps/, though an upload fails in between', async (t) => {
  const { server, folders, log, ship, gapsText } = await openWorkbench(t)
  const path = join(folders.recordings, 'Front_20250125_153045.mp4')
  await clip(path, 'not(between(t,3,6.99))', asRecorded)
  server.options.refuse = ({ method }) =>
    method === 'PUT' ? { code: 'SlowDown', status: 503 } : undefined
  await assert.rejects(ship(path))
  delete server.options.refuse
  assert.equal((await ship(path)).why, 'shipped')
  const text = await gapsText('2025-01-25')
  const { camera, from, seconds, reason } = JSON.parse(text) as GapLine
  assert.deepEqual(
    { camera, seconds, reason },
    { camera: 'Front', seconds: 4, reason: 'camera paused' },
  )
  assert.equal(from.slice(0, 19), '2025-01-25T15:30:48')
  assert.equal(log.count(/^INFO camera paused .*"pauses":1,"missing":4/), 1)

  // The ledger is lost, and what was uploaded comes back.
  await rm(folders.ledger, { recursive: true })
  await rename(join(folders.uploaded, basename(path)), path)
  assert.equal((await ship(path)).why, 'shipped')
  assert.equal(await gapsText('2025-01-25'), text)
})
