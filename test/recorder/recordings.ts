import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { startRtspCamera, type CameraOptions, type RtspCamera } from '../../demo/rtsp-camera.ts'
import { OpenFiles } from '../../src/daemon/open-files.ts'
import { readEnvironment } from '../../src/daemon/environment.ts'
import { foldersBelow } from '../../src/segments/folders.ts'
import { finalize } from '../../src/uploader/finalize.ts'
import { cachedClip } from '../support/clips.ts'
import { brokenPlaces, frameCounters } from '../support/frame-counter.ts'
import { startDaemon, type RunningDaemon } from '../support/running-daemon.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { finalizing } from '../uploader/workbench.ts'

/** Frames a second of every emulated camera here. */
export const fps = 25

/** Seconds, for a test that wants no segment to end of itself. */
export const oneSegment = 86_400

/** An emulated camera, and a recorder that records it. */
export interface Recording {
  camera: RtspCamera
  daemon: RunningDaemon
  folder: string
}

/** Starts a camera and its recorder; neither outlives the test. */
export async function startRecording(
  t: TestContext,
  settings: Record<string, string | number> = {},
  options: Partial<CameraOptions> = {},
): Promise<Recording> {
  const camera = await startRtspCamera({ clip: await cachedClip(), ...options })
  t.after(async () => camera.close())
  const folder = await temporaryFolder(t)
  const daemon = await startRecorder(t, folder, camera.url, settings)
  return { camera, daemon, folder }
}

/** Starts a recorder in a folder that another may have used before. */
export async function startRecorder(
  t: TestContext,
  folder: string,
  url: string,
  settings: Record<string, string | number> = {},
  variables: NodeJS.ProcessEnv = {},
  under: string[] = [],
): Promise<RunningDaemon> {
  const defaults = { CAMERA_1_NAME: 'Front', STALL_SECONDS: 4, SEGMENT_DURATION: oneSegment }
  const all = { CAMERA_1_URL: url, ...defaults, ...settings }
  return startDaemon(t, 'recorder', folder, all, variables, under)
}

/** The finished recordings, oldest first. */
export function recordings(folder: string): string[] {
  const files = readdirSync(join(folder, 'recordings')).filter((file) => file.endsWith('.mp4'))
  return files.sort().map((file) => join(folder, 'recordings', file))
}

/** Finalizes recordings, unless told otherwise all, as the uploader would, and removes those without a frame; answers what is there then, oldest first. */
export async function finalizedIn(folder: string, files = recordings(folder)): Promise<string[]> {
  const deps = finalizing(foldersBelow(folder))
  const ended = new AbortController()
  const sounds = deps.sounds.run(ended.signal)
  try {
    for (const path of files) {
      let finalized = await finalize(deps, path, ended.signal)
      for (; finalized.is === 'waiting'; finalized = await finalize(deps, path, ended.signal))
        await sleep(50)
      if (finalized.is === 'header-only') await rm(path)
      else assert.ok(finalized.is === 'playable', `${path}: ${JSON.stringify(finalized)}`)
    }
  } finally {
    ended.abort()
    await sounds
  }
  return recordings(folder)
}

/** The numbers of all frames in these files, in their order. */
export async function countersOf(files: string[]): Promise<number[]> {
  return (await Promise.all(files.map(frameCounters))).flat()
}

/** The one FFmpeg of an installation: it holds the camera's lock. */
export async function ffmpegPid(envFile: string): Promise<number> {
  const { runFolder } = readEnvironment({ ENV_FILE: envFile })
  const holders = await new OpenFiles().at([join(runFolder, 'camera-Front.lock')])
  const pids = [...new Set(holders?.map(({ pid }) => pid))]
  assert.equal(pids.length, 1, `FFmpegs: ${pids.join(' ')}`)
  return pids[0]!
}

/** What ffprobe says of a file, a line a stream; the cameras, which live in this process, go on meanwhile. */
export async function probed(file: string, entries: string): Promise<string[]> {
  const args = ['-v', 'error', '-show_entries', entries, '-of', 'csv=p=0', file]
  const { stdout } = await promisify(execFile)('ffprobe', args)
  return stdout.trim().split('\n')
}

/** How long a file says that it is. */
export async function secondsOf(file: string): Promise<number> {
  return Number(await probed(file, 'format=duration'))
}

/** Decodes a whole file; whatever a player would complain of fails the test. */
export async function assertPlays(file: string): Promise<void> {
  // FFmpeg would round times to those of a steady rate, and complain that some are the same then.
  const asTheyAre = ['-fps_mode', 'passthrough', '-enc_time_base', '1:90000']
  const args = ['-v', 'error', '-xerror', '-i', file, ...asTheyAre, '-f', 'null', '-']
  const { stderr } = await promisify(execFile)('ffmpeg', args)
  assert.equal(stderr, '', file)
}

/** What a fault in the middle of a recording has cost, in seconds, by the numbers of the frames. */
export interface Loss {
  /** From the last frame before the fault to the fault. */
  beforeSeconds: number
  /** From the end of the fault to the first frame after it. */
  afterSeconds: number
}

/** Measures it in frames that are consecutive but for the one gap. */
export function lossAround(counters: number[], faultFrame: number, overFrame = faultFrame): Loss {
  assert.equal(brokenPlaces(counters).length, 1, String(brokenPlaces(counters)))
  const last = counters.findLast((counter) => counter <= faultFrame) ?? NaN
  const first = counters.find((counter) => counter > faultFrame) ?? NaN
  return { beforeSeconds: (faultFrame - last) / fps, afterSeconds: (first - overFrame) / fps }
}

/** Waits until a log line matches, and answers how many seconds that took. */
export async function secondsUntil(
  daemon: RunningDaemon,
  pattern: RegExp,
  { from = daemon.lines.length, withinMs = 40_000 } = {},
): Promise<number> {
  const started = performance.now()
  await daemon.line(pattern, { from, withinMs })
  return (performance.now() - started) / 1000
}

/** How often the log says something. */
export function count(daemon: RunningDaemon, pattern: RegExp): number {
  return daemon.lines.filter((line) => pattern.test(line)).length
}

/** The seconds from one try to the next, of the tries after these lines of `recording ended`. */
export function secondsBetweenTries(ends: string[]): number[] {
  const tries = ends.map((line) => {
    const waitSeconds = Number(/nextTrySeconds=([\d.]+)/.exec(line)?.[1])
    return Date.parse(line.slice(0, 23)) / 1000 + waitSeconds
  })
  return tries.slice(1).map((at, index) => at - tries[index]!)
}

/** Some footage, so that it can be seen what of it is lost. */
export async function recordSeconds(camera: RtspCamera, seconds: number): Promise<void> {
  const until = camera.frameNow + seconds * fps
  while (camera.frameNow < until) await sleep(50)
}

/** Waits until a process has ended, and answers how many seconds that took. */
export async function processGone(pid: number, withinMs: number): Promise<number> {
  const started = performance.now()
  for (;;) {
    const ms = performance.now() - started
    if (!runs(pid)) return ms / 1000
    assert.ok(ms < withinMs, `process ${pid} still runs after ${withinMs} ms`)
    await sleep(20)
  }
}

/** One that nobody has asked for its exit code yet (Z) runs no more. */
function runs(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}
