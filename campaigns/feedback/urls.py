"""The paths that providers post to."""

from django.urls import path

from campaigns.feedback import views

urlpatterns = [
    path("webhooks/sendgrid/<str:slug>", views.sendgrid, name="sendgrid-webhook"),
]
