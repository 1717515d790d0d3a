import assert from 'node:assert/strict'
import { dirname, join } from 'node:path'
import test from 'node:test'
import { saveClip } from '../../src/cli/fetch-footage.ts'
import { findFootage } from '../../src/cli/find-footage.ts'
import { KnownFootage } from '../../src/cli/known-footage.ts'
import { foldersBelow } from '../../src/segments/folders.ts'
import { finalizedIn, fps, probed, recordings, startRecording } from '../recorder/recordings.ts'
import { cachedClip } from '../support/clips.ts'
import { brokenPlaces, frameCounters } from '../support/frame-counter.ts'
import { never } from '../uploader/workbench.ts'

/** A camera whose clock is a tenth slow. */
const pace = 0.9
const framesPerMs = (fps * pace) / 1000

test('a clip of what was just recorded shows the time that was asked for, whatever state its files are in', async (t) => {
  const clip = await cachedClip({ audio: 'pcmu' })
  const settings = { SEGMENT_DURATION: 2 }
  const { camera, daemon, folder } = await startRecording(t, settings, { clip, pace })
  await daemon.line(/segment finished/)
  await daemon.line(/segment finished/, { from: daemon.lines.length })
  const beganMs = Date.now() - camera.frameNow / framesPerMs
  daemon.process.kill('SIGKILL')
  await daemon.ended
  // One is finalized, one is closed, and the others are as FFmpeg has left them.
  await finalizedIn(folder, recordings(folder).slice(0, 1))
  const folders = foldersBelow(folder)
  const all = await new KnownFootage(folders, Date.now()).stretches({ fromMs: 0, toMs: Date.now() })
  assert.equal(
    all.filter(({ path }) => dirname(path ?? '') === folders.open).length,
    all.length - 2,
  )

  const [fromMs, toMs] = [(all[0]?.fromMs ?? 0) + 1300, (all.at(-1)?.toMs ?? 0) - 300]
  const asked = { fromMs, toMs }
  const target = join(folder, 'clip.mp4')
  const said: string[] = []
  const fetching = { folders, stored: undefined, say: (text: string) => void said.push(text) }
  await saveClip(findFootage(all, asked), { ...fetching, asked, target, exact: false }, never)
  const earlySeconds = Number(/begins ([\d.]+) s early/.exec(said.join())?.[1] ?? 0)

  const counters = await frameCounters(target)
  assert.deepEqual(brokenPlaces(counters), [])
  const taken = counters.map((counter) => beganMs + counter / framesPerMs)
  const [first = 0, last = 0] = [taken[0], taken.at(-1)]
  assert.ok(Math.abs(first + earlySeconds * 1000 - fromMs) < 300, `begins ${first - fromMs} ms off`)
  assert.ok(Math.abs(last - toMs) < 500, `ends ${last - toMs} ms off`)
  const [video, sound] = await probed(target, 'stream=codec_name,duration')
  const shown = (await probed(target, 'packet=stream_index,pts_time'))
    .filter((line) => line.startsWith('0,'))
    .map((line) => Number(line.slice(2)) * 1000)
  // Nobody knows the rate of the camera's clock in a file that was never closed.
  const unclosedMs = all[2]?.fromMs ?? 0
  for (const [n, ms] of shown.entries()) {
    const takenMs = taken[n] ?? 0
    const off = ms - (shown[0] ?? 0) - (takenMs - first)
    const most = 250 + (1 - pace) * Math.max(0, takenMs - unclosedMs)
    assert.ok(Math.abs(off) < most, `frame ${n} is ${off} ms off`)
  }
  assert.match(sound ?? '', /^aac,/)
  const lengths = [video, sound].map((line) => Number(line?.split(',')[1]))
  assert.ok(Math.abs((lengths[0] ?? 0) - (lengths[1] ?? NaN)) < 0.3, String(lengths))
})
