import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { promisify } from 'node:util'
import { makeClip } from '../../src/cli/clip.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { never, tools } from '../uploader/workbench.ts'

const run = promisify(execFile)
const fps = 10

/** Twelve seconds in three files, with a keyframe every 2 s: their folder, and the sum of each frame. */
async function threeSegments(folder: string, video = ['-c:v', 'libx264', '-bf', '0']) {
  const source = ['-f', 'lavfi', '-i', `testsrc2=size=160x90:rate=${fps}:duration=12`]
  const sound = ['-f', 'lavfi', '-i', 'sine=duration=12', '-c:a', 'aac']
  const keys = ['-g', '20', '-sc_threshold', '0', '-preset', 'ultrafast']
  const ticks = ['-segment_format_options', 'video_track_timescale=90000']
  const cut = ['-f', 'segment', ...ticks, '-segment_time', '4', '-reset_timestamps', '1']
  const output = join(folder, "it's %d.mp4")
  await run('ffmpeg', ['-v', 'error', ...source, ...sound, ...video, ...keys, ...cut, output])
  const files = [0, 1, 2].map((n) => join(folder, `it's ${n}.mp4`))
  return { files, sums: (await Promise.all(files.map(frameSums))).flat() }
}

/** A sum of each frame's picture. */
async function frameSums(file: string): Promise<string[]> {
  const args = ['-v', 'error', '-i', file, '-map', '0:v:0', '-f', 'framemd5', '-']
  const { stdout } = await run('ffmpeg', args)
  return stdout
    .split('\n')
    .filter((line) => /^\d/.test(line))
    .map((line) => line.split(',').at(-1)?.trim() ?? '')
}

async function lengthOf(file: string, stream: 'v' | 'a'): Promise<number> {
  const entries = ['-show_entries', 'stream=duration', '-of', 'csv=p=0']
  const args = ['-v', 'error', '-select_streams', stream, ...entries, file]
  return Number((await run('ffprobe', args)).stdout)
}

/** A clip from 2.7 s of the first file to 1.5 s of the third. */
async function clipOf(files: string[], folder: string, exact: boolean) {
  const [first = '', second = '', third = ''] = files
  const parts = [
    { path: first, fromSeconds: 2.7 },
    { path: second },
    { path: third, untilSeconds: 1.5 },
  ]
  const target = join(folder, 'clip.mp4')
  const work = join(folder, 'work')
  await mkdir(work)
  const early = await makeClip({ tools, folder: work }, { parts, target, exact }, never)
  return { target, early }
}

test('a clip joins files without encoding, from the keyframe before', async (t) => {
  const folder = await temporaryFolder(t)
  const { files, sums } = await threeSegments(folder)
  const { target, early } = await clipOf(files, folder, false)
  assert.ok(Math.abs(early - 0.7) < 0.05, String(early))
  assert.deepEqual(await frameSums(target), sums.slice(20, 95))
  assert.ok(Math.abs((await lengthOf(target, 'v')) - 7.5) < 0.11)
  assert.ok(Math.abs((await lengthOf(target, 'a')) - 7.5) < 0.15)
})

test('an exact clip begins at the very frame, and encodes no more than up to the next keyframe', async (t) => {
  const folder = await temporaryFolder(t)
  const { files, sums } = await threeSegments(folder)
  const { target, early } = await clipOf(files, folder, true)
  assert.equal(early, 0)
  const clip = await frameSums(target)
  assert.equal(clip.length, 68)
  assert.deepEqual(clip.slice(13), sums.slice(40, 95))
  assert.notDeepEqual(clip.slice(0, 13), sums.slice(27, 40))
  assert.ok(Math.abs((await lengthOf(target, 'v')) - 6.8) < 0.11)
  assert.ok(Math.abs((await lengthOf(target, 'a')) - 6.8) < 0.15)
})

test('the sound of a clip ends with its picture, though files hold a second of each in turn', async (t) => {
  const folder = await temporaryFolder(t)
  const path = join(folder, 'long.mp4')
  const source = ['-f', 'lavfi', '-i', `testsrc2=size=160x90:rate=${fps}:duration=8`]
  const sound = ['-f', 'lavfi', '-i', 'sine=duration=8', '-c:a', 'aac']
  const video = ['-c:v', 'libx264', '-preset', 'ultrafast', '-g', '20']
  const inTurn = ['-movflags', '+empty_moov+default_base_moof', '-frag_duration', '1000000']
  await run('ffmpeg', ['-v', 'error', ...source, ...sound, ...video, ...inTurn, path])
  for (const exact of [false, true]) {
    const work = join(folder, String(exact))
    await mkdir(work)
    const target = join(work, 'clip.mp4')
    const parts = [{ path, fromSeconds: 2.5, untilSeconds: 6.3 }]
    const early = await makeClip({ tools, folder: work }, { parts, target, exact }, never)
    for (const stream of ['v', 'a'] as const)
      assert.ok(Math.abs((await lengthOf(target, stream)) - 3.8 - early) < 0.15, stream)
  }
})

test('where only some of the files have sound, the others are silent in the clip', async (t) => {
  const folder = await temporaryFolder(t)
  const { files, sums } = await threeSegments(folder)
  const mute = join(folder, 'mute.mp4')
  const args = ['-v', 'error', '-i', files[1] ?? '', '-an', '-c', 'copy']
  await run('ffmpeg', [...args, '-video_track_timescale', '90000', mute])
  const { target } = await clipOf([files[0] ?? '', mute, files[2] ?? ''], folder, false)
  assert.deepEqual(await frameSums(target), sums.slice(20, 95))
  assert.ok(Math.abs((await lengthOf(target, 'v')) - 7.5) < 0.11)
  assert.ok(Math.abs((await lengthOf(target, 'a')) - 7.5) < 0.15)
})

test('what cannot be joined is said, with the files that differ', async (t) => {
  const folder = await temporaryFolder(t)
  const { files } = await threeSegments(folder)
  const other = join(folder, 'other')
  await mkdir(other)
  const odd = await threeSegments(other, ['-c:v', 'libx264', '-vf', 'scale=80:46'])
  await assert.rejects(
    clipOf([files[0] ?? '', odd.files[1] ?? '', files[2] ?? ''], folder, false),
    /it's 0\.mp4 \(h264 160x90, .*; aac .*\) and it's 1\.mp4 \(h264 80x46, .*; aac .*\) cannot be joined/,
  )
})
