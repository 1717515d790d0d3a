import { OpenFiles } from '../daemon/open-files.ts'
import { ProblemLog } from '../daemon/problem-log.ts'
import { runDaemon } from '../daemon/run-daemon.ts'
import { makeFolders } from '../segments/folders.ts'
import { Gaps } from '../segments/gaps.ts'
import { CameraRecorder } from './camera-recorder.ts'
import { cameraTroubles, isGoneCamera } from './camera-troubles.ts'
import { readRecorderConfig } from './config.ts'
import { OpenSegments } from './open-segments.ts'
import { pastFootage } from './past-footage.ts'
import { StreamMemory } from './stream-probe.ts'
import { Watchdog } from './watchdog.ts'

await runDaemon({
  name: 'recorder',
  configure: readRecorderConfig,
  async run({ config, environment, log, redactor, clock, lastStatus, publish, alertOn }, signal) {
    const { folders, segmentSeconds, stallAfterMs, video } = config
    await makeFolders(folders)
    const openFiles = new OpenFiles()
    const segments = new OpenSegments(folders, log)
    const problems = new ProblemLog(log, clock)
    const watchdog = new Watchdog({ openFiles, stallAfterMs, clock, problems, log })
    const deps = {
      options: {
        openFolder: folders.open,
        lockFolder: environment.runFolder,
        segmentSeconds,
        stallAfterMs,
        video,
        clock,
      },
      streams: new StreamMemory(folders.streams),
      segments,
      gaps: new Gaps(folders.gaps),
      watchdog,
      openFiles,
      redactor,
      problems,
      log,
    }
    const past = await pastFootage(lastStatus, folders, clock.now())
    const recorders = config.cameras.map(
      (camera) => new CameraRecorder(camera, past.get(camera.name), deps),
    )
    publish(() => ({
      cameras: recorders.map((recorder) => recorder.status),
      watch: openFiles.source,
    }))
    const { afterMs } = config.alerts
    const names = config.cameras.map(({ name }) => name)
    alertOn(
      async () => recorders.flatMap(({ status }) => cameraTroubles(status, clock.now(), afterMs)),
      (subject) => isGoneCamera(subject, names),
    )
    for (const file of await segments.abandoned(openFiles)) {
      const closed = await segments.close(file).catch((error: unknown) => {
        log.error({ file, error }, 'segment not moved out of recordings/open/')
      })
      if (closed) log.info({ ...closed }, 'segment of an earlier run finished')
    }
    await Promise.all([
      watchdog.run(signal),
      ...recorders.map(async (recorder) => recorder.run(signal)),
      ...recorders.map(async (recorder) => recorder.keepSynced(signal)),
    ])
  },
})
