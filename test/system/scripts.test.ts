import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { canary } from '../support/canaries.ts'
import { runScript, startInstallation, unreachableCamera, until } from './installation.ts'

const logLine = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \| (DEBUG|INFO|WARNING|ERROR) +\| ./

test('what start.sh starts is told, left alone the second time, and stopped without a trace', async (t) => {
  const { installation } = await startInstallation(t)
  assert.equal((await installation.run('status.sh')).code, 2)

  const first = await installation.run('start.sh')
  assert.equal(first.code, 0, first.output)
  assert.ok(first.ms < 20_000, `start.sh took ${first.ms} ms`)
  assert.match(first.output, /Front +recording +h264 640x360, aac/)
  assert.match(first.output, /S3 +ok/)
  const pids = [await installation.pid('recorder'), await installation.pid('uploader')]
  assert.match(first.output, new RegExp(`recorder +PID ${pids[0]} +log .*/recorder\\.log`))
  assert.match(first.output, new RegExp(`uploader +PID ${pids[1]} +log .*/uploader\\.log`))

  const second = await installation.run('start.sh')
  assert.equal(second.code, 0)
  assert.match(second.output, /^Already running\./)
  assert.deepEqual([await installation.pid('recorder'), await installation.pid('uploader')], pids)

  const status = await installation.run('status.sh')
  assert.equal(status.code, 0, status.output)
  assert.match(status.output, /^OK: 1 camera recording/)
  const json = JSON.parse((await installation.run('status.sh', '--json')).output) as {
    verdict: string
    recorder: { status: { cameras: { name: string }[] } }
    uploader: { status: { store: { state: string } } }
  }
  assert.equal(json.verdict, 'ok')
  assert.equal(json.recorder.status.cameras[0]?.name, 'Front')
  assert.equal(json.uploader.status.store.state, 'ok')

  const stop = await installation.run('stop.sh')
  assert.equal(stop.code, 0, stop.output)
  assert.ok(stop.ms < 5000, `stop.sh took ${stop.ms} ms`)
  assert.match(stop.output, new RegExp(`Stopped the recorder \\(PID ${pids[0]}\\)`))
  assert.match(stop.output, new RegExp(`Stopped the uploader \\(PID ${pids[1]}\\)`))
  assert.deepEqual(installation.processes(), [])
  const again = await installation.run('stop.sh')
  assert.deepEqual([again.code, again.output], [0, 'Nothing was running.\n'])
  assert.equal((await installation.run('status.sh')).code, 2)
  for (const line of (await installation.log('recorder')).trim().split('\n'))
    assert.match(line, logLine)
})

test('two start.sh at the same moment start one pair', async (t) => {
  const { installation } = await startInstallation(t, unreachableCamera)
  const runs = await Promise.all([installation.run('start.sh'), installation.run('start.sh')])
  assert.deepEqual(
    runs.map(({ code }) => code),
    [0, 0],
  )
  for (const name of [
    'keep-alive.sh recorder',
    'keep-alive.sh uploader',
    'recorder/main',
    'uploader/main',
  ])
    assert.equal(installation.processes().filter((line) => line.includes(name)).length, 1, name)
})

test('BASE_DIR edited while all runs moves nothing until restart.sh, which says what was left', async (t) => {
  const { installation } = await startInstallation(t, unreachableCamera)
  await installation.run('start.sh')
  const old = installation.folders.base
  const moved = `${old} moved`
  await mkdir(moved)
  await installation.configure({ BASE_DIR: moved })
  const again = await installation.run('start.sh')
  assert.match(again.output, /has changed since the start: .*\.\/scripts\/restart\.sh/)

  const killed = await installation.pid('recorder')
  process.kill(killed, 'SIGKILL')
  await installation.replaced('recorder', killed)
  const { recorder, uploader } = await installation.report()
  assert.deepEqual([recorder.base, uploader.base], [old, old])

  // By then it has taken what an earlier recorder left behind.
  await until(10_000, 'the new recorder tries the camera', async () =>
    /(recorder started[^]*){2}not recording/.test(await installation.log('recorder')),
  )
  await writeFile(join(old, 'recordings', 'open', 'Front_20200101_000000.mp4'), 'left')
  const restart = await installation.run('restart.sh')
  assert.equal(restart.code, 0, restart.output)
  assert.ok(
    restart.output.includes(
      `! Files that wait in ${old}/recordings: 1. Move them to ${moved}/recordings`,
    ),
    restart.output,
  )
  const report = await installation.report()
  assert.deepEqual([report.recorder.base, report.uploader.base], [moved, moved])
})

test('with LOG_FORMAT=json every line is JSON, those of the keep-alive, too', async (t) => {
  const { installation } = await startInstallation(t, { ...unreachableCamera, LOG_FORMAT: 'json' })
  await installation.run('start.sh')
  const killed = await installation.pid('recorder')
  process.kill(killed, 'SIGKILL')
  await installation.replaced('recorder', killed)
  const lines = (await installation.log('recorder')).trim().split('\n')
  const logged = lines.map(
    (line) => JSON.parse(line) as { level: number; time: number; msg: string },
  )
  const said = logged.find(({ msg }) => msg.startsWith('recorder ended by SIGKILL'))
  assert.equal(said?.level, 40)
  assert.ok(Math.abs(said.time - Date.now()) < 60_000)
})

test('stop.sh ends what has lost its PID file, too', async (t) => {
  const { installation } = await startInstallation(t, unreachableCamera)
  await installation.run('start.sh')
  for (const name of await readdir(installation.runFolder))
    if (name.endsWith('.pid')) await rm(join(installation.runFolder, name))
  const stop = await installation.run('stop.sh')
  assert.equal(stop.code, 0, stop.output)
  assert.match(stop.output, /Stopped the recorder \(PID \d+\).*\n.*Stopped the uploader/)
  assert.deepEqual(installation.processes(), [])
})

test('a daemon that dies, or hangs, is running again within seconds, and its log says so', async (t) => {
  const { installation } = await startInstallation(t, unreachableCamera)
  installation.variables.KEEP_ALIVE_HANG_SECONDS = '6'
  await installation.run('start.sh')

  for (const daemon of ['recorder', 'uploader'] as const) {
    const killed = await installation.pid(daemon)
    process.kill(killed, 'SIGKILL')
    await installation.replaced(daemon, killed)
    assert.match(
      await installation.log(daemon),
      / \| WARNING +\| \w+ ended by SIGKILL; starting it/,
    )
  }

  const hung = await installation.pid('uploader')
  process.kill(hung, 'SIGSTOP')
  await installation.replaced('uploader', hung, 20_000)
  assert.match(
    await installation.log('uploader'),
    / \| ERROR +\| uploader \(PID \d+\) hangs: no sign/,
  )
})

test('a pair of which half runs is completed', async (t) => {
  const { installation } = await startInstallation(t)
  await installation.run('start.sh')
  const recorder = await installation.pid('recorder')
  process.kill(await installation.keepAlivePid('recorder'), 'SIGKILL')
  await sleep(300)
  const alone = await installation.run('status.sh')
  assert.equal(alone.code, 1)
  assert.match(alone.output, /^DEGRADED: nobody would start the recorder again/)

  assert.equal((await installation.run('start.sh')).code, 0)
  const pid = await installation.pid('recorder')
  assert.equal(pid, recorder, 'the daemon that ran was left alone')
  assert.equal((await installation.run('status.sh')).code, 0)
  process.kill(pid, 'SIGKILL')
  await installation.replaced('recorder', pid)
})

test('a suspended daemon does not hold stop.sh up', async (t) => {
  const { installation } = await startInstallation(t, unreachableCamera)
  await installation.run('start.sh')
  process.kill(await installation.pid('recorder'), 'SIGSTOP')
  const stop = await installation.run('stop.sh')
  assert.equal(stop.code, 0)
  assert.ok(stop.ms < 9000, `stop.sh took ${stop.ms} ms`)
  assert.deepEqual(installation.processes(), [])
})

test('a configuration that cannot work is refused with every fault at once, and nothing starts', async (t) => {
  const { installation } = await startInstallation(t, unreachableCamera)
  await installation.configure({
    CAMERA_1_URL: `rtsp:/admin:${canary().replaceAll('"', '')}@camera/main`,
    SEGMENT_DURATION: 'ten',
    S3_BUCKET_NAME: '',
    LOG_LEVEL: 'LOUD',
  })
  const start = await installation.run('start.sh')
  assert.equal(start.code, 78)
  for (const variable of ['CAMERA_1_URL', 'SEGMENT_DURATION', 'S3_BUCKET_NAME', 'LOG_LEVEL'])
    assert.equal(
      start.output.split(`✗ ${variable}: `).length,
      2,
      `${variable} once:\n${start.output}`,
    )
  assert.deepEqual(installation.processes(), [])

  const missing = await runScript('start.sh', [], { ENV_FILE: '/nowhere/.env' })
  assert.equal(missing.code, 78)
  assert.match(missing.output, /start\.sh --demo/)
})

test('a configuration that breaks while all runs stops nothing, and is tried again until it is mended', async (t) => {
  const { installation } = await startInstallation(t, unreachableCamera)
  installation.variables.KEEP_ALIVE_REFUSED_SECONDS = '1'
  await installation.run('start.sh')
  const pid = await installation.pid('recorder')
  await installation.configure({ SEGMENT_DURATION: 'ten' })

  const restart = await installation.run('restart.sh')
  assert.equal(restart.code, 78)
  assert.match(restart.output, /Nothing was stopped/)
  assert.equal(await installation.pid('recorder'), pid)

  process.kill(pid, 'SIGKILL')
  await sleep(6000)
  const log = await installation.log('recorder')
  assert.equal(log.split('SEGMENT_DURATION: found "ten"').length, 2, `said once:\n${log}`)
  assert.equal((await installation.run('status.sh')).code, 2)
  await installation.configure()
  await installation.replaced('recorder', pid)
  await until(5000, 'the log says so', async () =>
    /configuration accepted, after it was refused \d+/.test(await installation.log('recorder')),
  )

  await installation.configure({ SEGMENT_DURATION: 'ten', BASE_DIR: '/elsewhere' })
  const stop = await installation.run('stop.sh')
  assert.equal(stop.code, 0, stop.output)
  assert.match(stop.output, /Stopped the recorder.*\n.*Stopped the uploader/)
  assert.deepEqual(installation.processes(), [])
})

test('stop.sh ends nobody else: a PID file of before a reboot may name a stranger', async (t) => {
  const { installation } = await startInstallation(t, unreachableCamera)
  const stranger = spawn('sleep', ['600'])
  t.after(() => stranger.kill())
  await mkdir(installation.runFolder, { recursive: true })
  for (const name of ['keep-alive-recorder', 'recorder', 'uploader']) {
    await writeFile(join(installation.runFolder, `${name}.lock`), '')
    await writeFile(join(installation.runFolder, `${name}.pid`), `${stranger.pid}\n`)
  }
  const stop = await installation.run('stop.sh')
  assert.deepEqual([stop.code, stop.output], [0, 'Nothing was running.\n'])
  assert.equal(stranger.exitCode ?? stranger.signalCode, null)
})

test('stop.sh ends an FFmpeg that has outlived its recorder', async (t) => {
  const { installation } = await startInstallation(t, unreachableCamera)
  await mkdir(installation.runFolder, { recursive: true })
  const lock = join(installation.runFolder, 'camera-Front.lock')
  const orphan = spawn('flock', ['--no-fork', lock, 'sleep', '600'], { stdio: 'ignore' })
  await until(5000, 'the lock is taken', () => existsSync(lock))
  await sleep(200)
  const stop = await installation.run('stop.sh')
  assert.equal(stop.code, 0, stop.output)
  assert.equal(stop.output, `Killed an orphaned FFmpeg of Front (PID ${orphan.pid}).\n`)
  assert.equal(orphan.signalCode, 'SIGKILL')
})

test('restart.sh is a clean restart: it deletes what is old, temporary or empty, and no footage', async (t) => {
  const { installation } = await startInstallation(t, unreachableCamera)
  await installation.run('start.sh')
  const pid = await installation.pid('recorder')
  const { logs, tmp, recordings, uploaded, quarantine } = installation.folders
  const old = join(logs, 'recorder_2020-01-01_00-00-00.log')
  const partial = join(recordings, 'Front_20200101_000000.mp4')
  const empty = join(recordings, 'open', 'Front_20200101_000100.mp4')
  await writeFile(old, 'old\n')
  await utimes(old, 1e9, 1e9)
  await writeFile(join(tmp, 'remux.mp4'), 'half')
  await writeFile(empty, '')
  await writeFile(partial, Buffer.alloc(5000))

  const restart = await installation.run('restart.sh')
  assert.equal(restart.code, 0, restart.output)
  for (const kind of ['old log', 'temporary file', 'empty recording'])
    assert.match(restart.output, new RegExp(`Deleted 1 ${kind} `))
  assert.notEqual(await installation.pid('recorder'), pid)
  assert.deepEqual([existsSync(old), existsSync(empty)], [false, false])
  assert.deepEqual(await readdir(tmp), [])
  const kept = [recordings, uploaded, quarantine].map(async (folder) => readdir(folder))
  const found = await Promise.all(kept)
  assert.ok(found.flat().some((name) => name.startsWith('Front_20200101_000000')))
})

test('a camera and a store that cannot be reached are warnings that say what to do', async (t) => {
  const { installation, camera, s3 } = await startInstallation(t)
  await camera.close()
  await s3.close()
  const start = await installation.run('start.sh')
  assert.equal(start.code, 0, start.output)
  assert.match(start.output, /Front +NOT OK +.*refuse/)
  assert.match(start.output, /S3 +NOT OK +./)
  const status = await installation.run('status.sh')
  assert.equal(status.code, 1)
  assert.match(status.output, /^DEGRADED: Front is not recording: /)
  assert.equal(
    readFileSync(join(installation.runFolder, 'base-dir'), 'utf8').split('\n')[0],
    installation.folders.base,
  )
})
