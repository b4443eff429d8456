"""The command line in this process."""

from keras_nasnet import cli


def run(capsys, *arguments):
    try:
        status = cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:  # argparse's own
        status = stop.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err
