"""Every public path of the engine."""

from campaigns.receive.urls import urlpatterns as receive_urls

urlpatterns = [*receive_urls]
