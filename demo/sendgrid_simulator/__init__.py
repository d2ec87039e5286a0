"""A stand-in for SendGrid: a real HTTP server with an inbox in the browser."""

from demo.sendgrid_simulator.server import Simulator

__all__ = ["Simulator"]
