package main

import (
	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/sirupsen/logrus"
)

// The states that a supervisor waits for.
const (
	stateReady     = daemon.SdNotifyReady
	stateReloading = daemon.SdNotifyReloading
	stateStopping  = daemon.SdNotifyStopping
)

// tellSupervisor tells systemd, if it started this process and wants to know, how
// the process is doing, and for people what it does.
func tellSupervisor(log logrus.FieldLogger, state, status string) {
	if _, err := daemon.SdNotify(false, state+"\nSTATUS="+status); err != nil {
		log.WithError(err).Warn("systemd could not be told: " + status)
	}
}
