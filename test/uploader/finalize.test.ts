import assert from 'node:assert/strict'
import {
  appendFile,
  chmod,
  copyFile,
  mkdir,
  readFile,
  readdir,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { foldersBelow, makeFolders, type Folders } from '../../src/segments/folders.ts'
import { finalize } from '../../src/uploader/finalize.ts'
import { removeTemporaries } from '../../src/uploader/rewrite.ts'
import { fingerprint, type Sums } from '../../src/uploader/fingerprint.ts'
import { probeMedia, type Media } from '../../src/uploader/media-probe.ts'
import { isFaststart, isHeaderOnly, readBoxes } from '../../src/mp4/boxes.ts'
import { ToolError } from '../../src/uploader/run-tool.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import {
  finalized as finalizedSample,
  finalizing,
  foreign,
  fragmented,
  fragmentedHevc,
  never,
  padded,
  tools,
} from './workbench.ts'

async function segment(
  t: TestContext,
  source?: string,
): Promise<{ folders: Folders; path: string }> {
  const folders = foldersBelow(await temporaryFolder(t))
  await makeFolders(folders)
  const path = join(folders.recordings, 'Front_20250125_153045.mp4')
  await copyFile(source ?? (await fragmented()), path)
  return { folders, path }
}

async function mediaOf(path: string): Promise<Media> {
  const verdict = await probeMedia(tools.ffprobe, path, never)
  assert.ok('playable' in verdict, JSON.stringify(verdict))
  return verdict.playable
}

/** What a file that was written anew is told to hold, read from it. */
async function sumsOf(path: string): Promise<Sums> {
  const { bytes, crc32 } = await fingerprint(path, 'crc32', never)
  return { bytes, crc32 }
}

/** A program that behaves as a test wants FFmpeg to. */
async function program(t: TestContext, script: string): Promise<string> {
  const path = join(await temporaryFolder(t), 'tool')
  await writeFile(path, `#!/bin/sh\n${script}\n`)
  await chmod(path, 0o700)
  return path
}

test('a file with damage in the middle keeps every byte: a remux would lose what is behind it', async (t) => {
  const whole = await readFile(await fragmented())
  const all = await mediaOf(await fragmented())
  let at = 0
  const headers: number[] = []
  for (const { bytes } of await readBoxes(await fragmented())) {
    headers.push(at)
    at += bytes
  }
  assert.ok(headers.length > 6)
  for (const header of headers.slice(3, -1))
    for (const damage of [
      (content: Buffer) => content.writeUInt8(content.readUInt8(header + 1) ^ 0x40, header + 1),
      (content: Buffer) => content.fill(0, header, header + 64),
    ]) {
      const { folders, path } = await segment(t)
      const content = Buffer.from(whole)
      damage(content)
      await writeFile(path, content)
      const finalized = await finalize(finalizing(folders), path, never)
      const isKept = finalized.is === 'playable' && finalized.asItIs !== undefined
      if (isKept || finalized.is === 'invalid')
        assert.equal((await stat(path)).size, whole.length, `damage at ${header}`)
      else assert.deepEqual(finalized, { is: 'playable', media: all }, `damage at ${header}`)
    }
})

test('a file that a crash cut off in its last fragment is finalized all the same', async (t) => {
  const { folders, path } = await segment(t)
  const { size } = await stat(path)
  for (const cut of [4, 200, 3000]) {
    await truncate(path, size - cut)
    const finalized = await finalize(finalizing(folders), path, never)
    assert.ok(
      finalized.is === 'playable' && finalized.asItIs === undefined,
      JSON.stringify(finalized),
    )
    await copyFile(await fragmented(), path)
  }
})

test('a fragmented segment becomes playable at once, with the same packets and mtime', async (t) => {
  const { folders, path } = await segment(t)
  const [before, { mtimeMs }] = [await mediaOf(path), await stat(path)]
  assert.equal(await isFaststart(path), false)
  const finalized = await finalize(finalizing(folders), path, never)
  assert.deepEqual(finalized, { is: 'playable', media: before, sums: await sumsOf(path) })
  const types = (await readBoxes(path)).map(({ type }) => type)
  assert.ok(types.indexOf('moov') < types.indexOf('mdat'))
  assert.ok(!types.includes('moof'))
  assert.deepEqual((await mediaOf(path)).streams, before.streams)
  assert.ok(Math.abs((await stat(path)).mtimeMs - mtimeMs) < 0.01)
  assert.deepEqual(await readdir(folders.tmp), [])
})

test('HEVC is tagged as the players of Apple want it', async (t) => {
  const { folders, path } = await segment(t, await fragmentedHevc())
  assert.equal((await mediaOf(path)).streams[0]?.tag, 'hev1')
  await finalize(finalizing(folders), path, never)
  const [video] = (await mediaOf(path)).streams
  assert.deepEqual([video?.codec, video?.tag], ['hevc', 'hvc1'])
})

test('a finalized file is not touched again', async (t) => {
  const { folders, path } = await segment(t)
  await finalize(finalizing(folders), path, never)
  const { ino } = await stat(path)
  const ffmpeg = join(folders.base, 'not-needed')
  const again = await finalize(finalizing(folders, { ...tools, ffmpeg }), path, never)
  assert.equal(again.is, 'playable')
  assert.equal((await stat(path)).ino, ino)
})

test('a segment that was cut off at any byte plays, or is called invalid or empty', async (t) => {
  const { folders, path } = await segment(t)
  const whole = await readFile(await fragmented())
  const outcomes = new Set<string>()
  for (const share of [0.0002, 0.003, 0.01, 0.3, 0.77, 0.999]) {
    await writeFile(path, whole.subarray(0, Math.ceil(whole.length * share)))
    const finalized = await finalize(finalizing(folders), path, never)
    outcomes.add(finalized.is)
    if (share >= 0.3) assert.equal(finalized.is, 'playable')
  }
  assert.ok(outcomes.has('invalid'))
})

test('a header without a packet is recognised as such', async (t) => {
  const { folders, path } = await segment(t)
  const boxes = await readBoxes(path)
  const header = boxes.slice(
    0,
    boxes.findIndex(({ type }) => type === 'moof'),
  )
  await truncate(
    path,
    header.reduce((sum, { bytes }) => sum + bytes, 0),
  )
  assert.equal(await isHeaderOnly(path), true)
  assert.deepEqual(await finalize(finalizing(folders), path, never), {
    is: 'header-only',
  })
})

for (const [what, content] of [
  ['random bytes', Buffer.from(Array.from({ length: 5000 }, (_, n) => (n * 7919) % 251))],
  ['a text', Buffer.from('hello\n'.repeat(500))],
  ['zeros', Buffer.alloc(3000)],
  ['a single byte', Buffer.from('x')],
] as const)
  test(`${what} named .mp4 is called invalid, with the reason`, async (t) => {
    const { folders, path } = await segment(t)
    await writeFile(path, content)
    const finalized = await finalize(finalizing(folders), path, never)
    assert.equal(finalized.is, 'invalid')
    assert.match(finalized.reason, /invalid|moov|end of file/i)
  })

// With a file of our own they are not asked.
test('a missing ffprobe or ffmpeg is a fault of the machine, and says nothing of the file', async (t) => {
  const { folders, path } = await segment(t, await foreign())
  for (const missing of ['ffmpeg', 'ffprobe'])
    await assert.rejects(
      finalize(finalizing(folders, { ...tools, [missing]: `/nowhere/${missing}` }), path, never),
      (error) => error instanceof ToolError && error.machineWide && /PATH/.test(error.message),
    )
})

for (const [what, script] of [
  ['is killed', 'kill -9 $$'],
  ['runs out of file handles', 'echo "x: Too many open files" >&2; exit 1'],
  ['ends for an unknown reason', 'echo "x: whatever" >&2; exit 1'],
] as const)
  test(`an ffprobe that ${what} says nothing of the file`, async (t) => {
    const { folders, path } = await segment(t, await foreign())
    const ffprobe = await program(t, script)
    const tried = finalize(finalizing(folders, { ...tools, ffprobe }), path, never)
    await assert.rejects(tried, (error) => error instanceof ToolError && !error.machineWide)
    assert.deepEqual(await readFile(path), await readFile(await foreign()))
  })

for (const [what, script, reason] of [
  ['there is no room', 'echo "x: No space left on device" >&2; exit 1', 'no room for a copy'],
  ['FFmpeg cannot remux it', 'exit 1', 'FFmpeg could not remux it'],
  [
    'the remux holds less',
    'for last; do :; done; ffmpeg -v error -t 1 -i "$7" -c copy "${last#file:}" || exit 1',
    'same packets',
  ],
] as const)
  test(`the file stays as it is where ${what}`, async (t) => {
    const { folders, path } = await segment(t, await foreign())
    const ffmpeg = await program(t, script.replace('"$7"', `'${path}'`))
    const finalized = await finalize(finalizing(folders, { ...tools, ffmpeg }), path, never)
    assert.ok(finalized.is === 'playable')
    assert.match(finalized.asItIs ?? '', new RegExp(reason))
    assert.deepEqual(await readFile(path), await readFile(await foreign()))
    assert.deepEqual(await readdir(folders.tmp), [])
  })

// A file may need more memory than others, and FFmpeg then finds fault with the file.
for (const [what, mostKilobytes, expected] of [
  ['a first time', 1_000_000, undefined],
  ['again with four times as much', 1_000_000_000, /^\S+ has not enough memory for it$/],
] as const)
  test(`a file is shipped, and nothing is held against it, where ffprobe meets its memory limit ${what}`, async (t) => {
    const { folders, path } = await segment(t, await foreign())
    const ffprobe = await program(
      t,
      `[ "$(ulimit -d)" -gt ${mostKilobytes} ] && exec ffprobe "$@"
echo "x: Cannot allocate memory" >&2; exit 1`,
    )
    const finalized = await finalize(finalizing(folders, { ...tools, ffprobe }), path, never)
    assert.ok(finalized.is === 'playable', JSON.stringify(finalized))
    if (expected) assert.match(finalized.asItIs ?? '', expected)
    else assert.equal(finalized.asItIs, undefined)
  })

test('a file whose index claims more frames than memory holds is shipped as it is', async (t) => {
  const { folders, path } = await segment(t, await finalizedSample())
  const content = await readFile(path)
  const claim = (box: string, at: number, number: number): number =>
    content.writeUInt32BE(number, content.indexOf(box) + at)
  const frames = 134_217_727
  claim('stts', 12, frames)
  claim('stsc', 16, frames)
  // Each of them a byte.
  claim('stsz', 8, 1)
  claim('stsz', 12, frames)
  await writeFile(path, content)
  const finalized = await finalize(finalizing(folders), path, never)
  assert.ok(finalized.is === 'playable', JSON.stringify(finalized))
  assert.match(finalized.asItIs ?? '', /more frames than fit into memory/)
  assert.deepEqual(await readFile(path), content)
})

test('a file that changes while it is remuxed is left alone', async (t) => {
  const { folders, path } = await segment(t, await foreign())
  const ffmpeg = await program(t, `ffmpeg "$@"; printf x >> '${path}'`)
  const finalized = await finalize(finalizing(folders, { ...tools, ffmpeg }), path, never)
  assert.ok(finalized.is === 'playable')
  assert.match(finalized.asItIs ?? '', /changed/)
  const whole = await readFile(await foreign())
  assert.deepEqual(await readFile(path), Buffer.concat([whole, Buffer.from('x')]))
})

test('an abort ends FFmpeg and leaves nothing behind', async (t) => {
  const { folders, path } = await segment(t, await foreign())
  const stop = new AbortController()
  const ffmpeg = await program(t, 'exec sleep 60')
  const ending = assert.rejects(
    finalize(finalizing(folders, { ...tools, ffmpeg }), path, stop.signal),
  )
  setTimeout(() => stop.abort(), 400)
  await ending
  assert.deepEqual(await readdir(folders.tmp), [])
})

test('what our recorder writes takes no program', async (t) => {
  const { folders, path } = await segment(t)
  const media = await mediaOf(path)
  const none = { ffmpeg: '/nowhere/ffmpeg', ffprobe: '/nowhere/ffprobe' }
  const finalized = await finalize(finalizing(folders, none), path, never)
  assert.deepEqual(finalized, { is: 'playable', media, sums: await sumsOf(path) })
  assert.ok(await isFaststart(path))
})

test('an abort of what takes no program leaves the file as it was, and nothing behind', async (t) => {
  const { folders, path } = await segment(t)
  const stop = new AbortController()
  const reason = new Error('enough')
  const ending = finalize(finalizing(folders), path, stop.signal)
  stop.abort(reason)
  await assert.rejects(ending, reason)
  assert.deepEqual(await readFile(path), await readFile(await fragmented()))
  assert.deepEqual(await readdir(folders.tmp), [])
})

test('temporaries of earlier crashes are removed, and nothing else', async (t) => {
  const { folders, path } = await segment(t)
  const dot = join(folders.recordings, '.finalizing')
  await mkdir(dot)
  const name = 'finalize-123e4567-e89b-12d3-a456-426614174000.mp4'
  for (const folder of [folders.tmp, dot]) await writeFile(join(folder, name), 'x')
  await writeFile(join(folders.uploaded, '.moving-123e4567-e89b-12d3-a456-426614174000.tmp'), 'x')
  await appendFile(join(folders.tmp, 'other.mp4'), 'x')
  assert.equal(await removeTemporaries(folders), 3)
  assert.deepEqual(await readdir(folders.tmp), ['other.mp4'])
  assert.ok((await stat(path)).size > 0)
})

test('boxes of 64-bit size, and one that the file ends before, are read right', async (t) => {
  const { path } = await segment(t)
  await padded(path, 3_000_000)
  const boxes = await readBoxes(path)
  assert.deepEqual(boxes.at(-1)?.type, 'free')
  assert.equal(
    boxes.reduce((sum, { bytes }) => sum + bytes, 0),
    3_000_000,
  )
  const large = Buffer.alloc(40)
  large.writeUInt32BE(1)
  large.write('mdat', 4)
  large.writeBigUInt64BE(1n << 33n, 8)
  await writeFile(path, large)
  assert.deepEqual(await readBoxes(path), [{ type: 'mdat', bytes: 2 ** 33, cutOff: true }])
})
