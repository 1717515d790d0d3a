import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { startRtspCamera } from '../../demo/rtsp-camera.ts'
import { cachedClip } from '../support/clips.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { count, secondsBetweenTries, secondsUntil, startRecorder } from './recordings.ts'

/** A PATH with what the recorder runs, but other scripts in the place of some of it. */
async function pathWith(t: TestContext, scripts: Record<string, string>): Promise<string> {
  const folder = join(await temporaryFolder(t), 'bin')
  mkdirSync(folder)
  for (const name of ['sh', 'flock', 'prlimit', 'setpriv', 'lsof', 'ffmpeg'])
    if (!(name in scripts))
      symlinkSync(execFileSync('which', [name]).toString().trim(), join(folder, name))
  for (const [name, script] of Object.entries(scripts)) {
    if (script === '') continue
    writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`)
    chmodSync(join(folder, name), 0o755)
  }
  return folder
}

// As FFmpeg 5.0 says it.
const old = `echo "[concat @ 0x1] [error] Line 3: unknown keyword 'option'" >&2
echo "[error] pipe:0: Invalid data found when processing input" >&2
exit 1`

const cases: [string, Record<string, string>, RegExp][] = [
  ['FFmpeg is missing', { ffmpeg: '' }, /a program is missing: run .*setup\.sh/],
  ['FFmpeg is too old', { ffmpeg: old }, /FFmpeg is older than 5\.1: run .*setup\.sh/],
  ['FFmpeg crashes at once', { ffmpeg: 'kill -SEGV $$' }, /FFmpeg was ended by SIGSEGV/],
  [
    'FFmpeg fails for no known reason',
    { ffmpeg: 'echo strange >&2; exit 3' },
    /exited with 3: strange/,
  ],
]

describe('the programs that the recorder runs', { concurrency: 5 }, () => {
  for (const [title, scripts, expected] of cases)
    test(`that ${title} gets one clear line, and is tried less and less often`, async (t) => {
      const camera = await startRtspCamera({ clip: await cachedClip() })
      t.after(async () => camera.close())
      const path = await pathWith(t, scripts)
      const settings = { LOG_LEVEL: 'DEBUG' }
      const folder = await temporaryFolder(t)
      const daemon = await startRecorder(t, folder, camera.url, settings, { PATH: path })
      const ends: string[] = []
      for (let from = 0; ends.length < 3;) {
        const line = await daemon.line(/recording ended/, { from })
        assert.match(line, expected)
        ends.push(line)
        from = daemon.lines.indexOf(line) + 1
      }
      assert.equal(await daemon.stop(), 0)
      const [second = 0, third = 0] = secondsBetweenTries(ends)
      assert.ok(second > 2.8 && third > 5.8, ends.join('\n'))
      assert.equal(count(daemon, /WARNING .*not recording/), 1, daemon.lines.join('\n'))
      t.diagnostic(`tries ${second.toFixed(1)} s and ${third.toFixed(1)} s apart`)
    })

  test('that FFmpeg keeps frames to itself for ten seconds is noticed within 60 s', async (t) => {
    const camera = await startRtspCamera({ clip: await cachedClip() })
    t.after(async () => camera.close())
    // The picture waits for sound that never comes.
    camera.faults.audioStops = true
    const real = execFileSync('which', ['ffmpeg']).toString().trim()
    const patient = `for word; do
  shift
  [ "$word" = 100000 ] && word=10000000
  set -- "$@" "$word"
done
exec '${real}' "$@"`
    const path = await pathWith(t, { ffmpeg: patient })
    const folder = await temporaryFolder(t)
    const settings = { STALL_SECONDS: 15 }
    const daemon = await startRecorder(t, folder, camera.url, settings, { PATH: path })
    const seconds = await secondsUntil(daemon, /WARNING .*frames reach the file late/, {
      withinMs: 90_000,
    })
    assert.ok(seconds <= 60, `${seconds} s`)
    assert.equal(await daemon.stop(), 0)
  })
})
